"""Scores one file: reads entries, scores them in batches, writes them down, reports."""

import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.scores import AdScore, Status
from serving.answers import LineOut, ModelOut, ResultOut
from serving.bulk.flat import write_csv, write_parquet
from serving.bulk.journal import JobKey, Journal, Paths, State, finish, read_state
from serving.bulk.parquet_file import ParquetInput
from serving.bulk.records import Entry
from serving.bulk.text_files import CsvInput, NdjsonInput
from serving.errors import BulkError
from serving.records import Columns
from serving.schemas import Ad, Limits, nearest
from serving.settings import ServingSettings

if TYPE_CHECKING:
    from models.runtime import Scorer

Format = Literal["ndjson", "csv", "parquet"]
SUFFIXES: dict[str, Format] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
MOST_REPORTED = 20


@dataclass(frozen=True, slots=True)
class Job:
    """What to score, and where to."""

    source: Path
    out: Path
    source_format: Format
    columns: Columns
    labels: tuple[str, ...] | None = None
    evidence: bool = True
    resume: bool = False


def format_of(path: Path) -> Format:
    """The format that a file's name says.

    Raises:
        BulkError: it says none.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise BulkError(f"The name of {path} does not say its format; it should end in {', '.join(SUFFIXES)}.") from None


def score_file(job: Job, open_scorer: "Callable[[], Scorer]", settings: ServingSettings, console: Console) -> State | None:
    """Score a file; returns what was done in all, earlier runs of the job included, or None if it was complete before.

    Everything that can be checked without a model is checked before one is loaded.

    Raises:
        BulkError: the input, the output or the stopped job cannot be used.
        ModelError: the model cannot be had.
    """
    paths = Paths(job.out)
    out_format = format_of(job.out)
    if paths.already_done(resume=job.resume):
        return None
    limits = Limits(settings.max_ads, settings.max_characters, label_ids=())
    source = _open_input(job, limits, settings)
    with job.source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    scorer = open_scorer()
    wanted = wanted_labels(job.labels, scorer.taxonomy.label_ids)
    key = JobKey(
        input_sha256=digest,
        input_format=job.source_format,
        columns=repr(job.columns),
        labels=wanted,
        evidence=job.evidence,
        max_characters=settings.max_characters,
        bundle_digest=scorer.identity.bundle_digest,
    )
    state = read_state(paths.state, key)
    if not state.complete:
        with Journal(paths, state) as journal:
            _Run(journal, scorer, wanted, job.evidence, settings.bulk_batch, console).over(source)
    write_flat = {"csv": write_csv, "parquet": write_parquet}.get(out_format)
    finish(paths, state, functools.partial(write_flat, labels=wanted) if write_flat else None)
    return state


def _open_input(job: Job, limits: Limits, settings: ServingSettings) -> NdjsonInput | CsvInput | ParquetInput:
    if not job.source.is_file():
        raise BulkError(f"There is no file {job.source}.")
    if job.source_format == "parquet":
        return ParquetInput(job.source, job.columns, limits)
    kind = NdjsonInput if job.source_format == "ndjson" else CsvInput
    return kind(job.source, job.columns, limits, settings.bulk_max_line_bytes)


def wanted_labels(asked: Sequence[str] | None, label_ids: Sequence[str]) -> list[str]:
    """The labels that are asked for, all when None, in the taxonomy's order.

    Raises:
        BulkError: the model has no such label.
    """
    for label in asked or ():
        if label not in label_ids:
            raise BulkError(f"'{label}' is not an indicator of this model.{nearest(label, label_ids)}")
    return [label for label in label_ids if asked is None or label in asked]


class _Run:
    """One process's part of a job."""

    def __init__(
        self, journal: Journal, scorer: "Scorer", labels: list[str], evidence: bool, batch: int, console: Console
    ) -> None:
        self._journal, self._scorer, self._labels, self._evidence = journal, scorer, labels, evidence
        self._batch, self._console = batch, console
        self._model = ModelOut.of(scorer.identity)
        self._reported = 0

    def over(self, source: NdjsonInput | CsvInput | ParquetInput) -> None:
        """Score everything that is left of the input."""
        start = self._journal.place
        with Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=self._console,
        ) as progress:
            task = progress.add_task("Scoring", total=source.total, completed=start.done)
            entries: list[Entry] = []
            began = time.monotonic()
            for entry in source.entries(start):
                if entry.ad is None:
                    self._reject(entry.line, entry.reason, entry)
                entries.append(Entry(entry.line, entry.after, entry.ad))
                if len(entries) == self._batch:
                    began = self._write(entries, began, progress, task)
                    entries = []
            if entries:
                self._write(entries, began, progress, task)
            progress.update(task, completed=source.total)
        self._journal.complete()

    def _write(self, entries: list[Entry], began: float, progress: Progress, task: TaskID) -> float:
        pairs = [(entry.line, entry.ad) for entry in entries if entry.ad is not None]
        for (line, ad), score in zip(pairs, self._scores(pairs), strict=True):
            if score is None:
                continue
            self._count(score)
            result = LineOut(line=line, model=self._model, **dict(ResultOut.of(ad.id, score)))
            self._journal.add(result.model_dump_json())
        now = time.monotonic()
        self._journal.commit(entries[-1].after, now - began)
        state = self._journal.state
        rate = state.scored / state.seconds if state.seconds else 0
        words = f"{state.scored} scored, {state.rejected} rejected, {rate:.0f}/s"
        progress.update(task, completed=entries[-1].after.done, description=words)
        return now

    def _scores(self, pairs: list[tuple[int, Ad]]) -> list[AdScore | None]:
        """Scores of a batch. One text that the model chokes on is rejected alone and does not stop the others."""
        ads = [ad for _, ad in pairs]
        try:
            return [*self._score(ads)]
        except Exception as first:
            found: list[AdScore | None] = []
            for line, ad in pairs:
                try:
                    found += self._score([ad])
                except Exception as error:
                    found.append(None)
                    # The error's message may hold the text; its kind does not.
                    kept = {"record": ad.model_dump(exclude_none=True)}
                    self._reject(
                        line,
                        f"The model failed on this text ({type(error).__name__}).",
                        Entry(line, self._journal.place, kept=kept),
                    )
            if len(pairs) > 1 and not any(found):
                raise BulkError(
                    f"The model fails on every text ({type(first).__name__}); nothing of this batch was written."
                ) from None
            return found

    def _score(self, ads: list[Ad]) -> list[AdScore]:
        if not ads:
            return []
        texts, languages = [ad.text for ad in ads], [ad.language for ad in ads]
        return self._scorer.score(texts, languages, labels=self._labels, evidence=self._evidence)

    def _count(self, score: AdScore) -> None:
        for label, one in (score.indicators | score.counter_indicators).items():
            for status, counts in (
                (Status.PRESENT, self._journal.state.present),
                (Status.UNCERTAIN, self._journal.state.uncertain),
            ):
                if one.status is status:
                    counts[label] = counts.get(label, 0) + 1

    def _reject(self, line: int, reason: str, entry: Entry) -> None:
        self._journal.reject(line, reason, entry.kept or {})
        self._reported += 1
        if self._reported <= MOST_REPORTED:
            self._console.print(f"line {line}: {reason}", markup=False, highlight=False, soft_wrap=True)
        elif self._reported == MOST_REPORTED + 1:
            self._console.print(f"More lines are rejected; {self._journal.paths.rejected} will list all.", markup=False)
