"""What a worker does: holds one scorer and scores whole parts, each as ``signaal-serve score --resume`` would.

Nothing that is raised here leaves it: engines print the errors of their workers, and an error's message may hold a text.
"""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel
from rich.console import Console

from models.errors import ModelError
from models.registry import open_at
from models.runtime import Scorer
from models.settings import ModelSettings
from serving.bulk.job import Format, Job, format_of, score_file
from serving.bulk.journal import State
from serving.bulk.parts import Part
from serving.errors import BulkError, ServingError
from serving.file_lock import try_lock
from serving.records import Columns
from serving.settings import ServingSettings

LOCK_SECONDS = 60
"""How long to wait for a part that another worker holds: one that is about to die, as its machine or the job before it did."""
MOST_TRIES = 3
"""An engine gives a part whose worker was lost to another one. A part that itself kills workers must not go on for ever."""


@dataclass(frozen=True, slots=True)
class PartsTask:
    """What is the same for all parts. It travels to the workers, so it holds no secret and no ad.

    ``run`` names this run of the job. ``model_settings`` and ``settings`` are those that were set where the job began; what was
    not set is the worker's own.
    """

    place: str
    bundle_digest: str
    model_settings: dict[str, Any]
    settings: dict[str, Any]
    source_format: Format | None
    columns: Columns
    labels: tuple[str, ...]
    evidence: bool
    running: Path
    run: str


class PartResult(BaseModel):
    """What became of a part. ``failure`` says why it has no result; ``fatal``: the other parts would fail alike."""

    index: int
    scored: int = 0
    rejected: int = 0
    present: dict[str, int] = {}
    uncertain: dict[str, int] = {}
    failure: str | None = None
    fatal: bool = False


class PartScorer:
    """One worker."""

    def __init__(self, task: PartsTask) -> None:
        self._task = task
        self._failure: str | None = None
        try:
            self._scorer = self._open()
            self._settings = ServingSettings(**task.settings)
        except Exception as error:
            self._failure = told(error)

    def _open(self) -> Scorer:
        scorer = open_at(self._task.place, ModelSettings(**self._task.model_settings))
        if scorer.identity.bundle_digest != self._task.bundle_digest:
            raise BulkError(
                f"{self._task.place} is another model on a worker's machine than where the job began "
                f"({scorer.identity.bundle_digest[:12]}, not {self._task.bundle_digest[:12]}). Install the same there."
            )
        return scorer

    def __call__(self, index: int, part: Part) -> PartResult:
        """Score what is left of a part."""
        if self._failure is not None:
            return PartResult(index=index, failure=self._failure, fatal=True)
        try:
            with self._alone(part):
                state = self._score(part)
        except Exception as error:
            return PartResult(index=index, failure=told(error))
        if state is None:  # another worker was quicker, and died before it could say so
            return PartResult(index=index)
        return PartResult(
            index=index, scored=state.scored, rejected=state.rejected, present=state.present, uncertain=state.uncertain
        )

    def _score(self, part: Part) -> State | None:
        task = self._task
        job = Job(
            source=part.source,
            out=part.out,
            source_format=task.source_format or format_of(part.source),
            columns=task.columns,
            labels=task.labels,
            evidence=task.evidence,
            resume=True,
        )
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            return score_file(job, lambda: self._scorer, self._settings, Console(file=nowhere))

    @contextmanager
    def _alone(self, part: Part) -> Iterator[None]:
        """Hold the part. Its lock file is there while it is under way, with a line for each try of this run, and is removed when
        it is done: who then still waits for the removed file finds the part done."""
        path = self._task.running / part.lock_name
        with path.open("a+b") as file:
            _wait_for(file, part)
            file.seek(0)
            if file.read().split().count(self._task.run.encode()) >= MOST_TRIES:
                raise BulkError(f"{part.name} was begun {MOST_TRIES} times, and each time its worker was lost (out of memory?).")
            file.write(f"{self._task.run}\n".encode())
            file.flush()
            yield
            path.unlink()


def _wait_for(file: BinaryIO, part: Part) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            try_lock(file)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise BulkError(f"{part.name} is being scored by another worker still; continue later with --resume.") from None
        time.sleep(0.5)


def told(error: Exception) -> str:
    """An error in one line, without what may hold a text: messages of others than ours are left out."""
    if isinstance(error, ServingError | ModelError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'}: {error.strerror}."
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"Unforeseen {type(error).__name__} in {Path(last.filename).name}, line {last.lineno}."
