"""Reading a benchmark's data: JSON Lines as in ``models.example``, from many hands.

Data sets are written by others, so a line that cannot be used is set aside and reported, not fatal; of a line whose spans do
not fit, only those are. Where so much is set aside that figures would no longer compare, ``refuse_what_would_not_compare``
says so before anything is trained.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_core import from_json
from rich.console import Console
from rich.progress import Progress

from models.example import SPLITS, LabelledExample, first_problem
from training.benchmark.spellings import known_fields, usable_spans
from training.errors import TrainingError

BOM = b"\xef\xbb\xbf"
FEW = 5
"""So many lines may always be set aside, as long as each split that is named keeps one."""
MOST_OF_A_SPLIT = 0.01
"""Of a test or validation split that the file names. Whoever published a figure measured it on all of that split."""
MOST_OF_ALL = 0.1
"""Of all lines. Fewer training texts make the network no better, so this is wider."""
MOST_KEPT = 100
"""Unusable spans of which line and reason are kept: a file with spans of another label set has millions."""


class BenchmarkExample(LabelledExample):
    """A labelled example of any label set."""

    line: int = 0
    """Of the file; 0 where there is none."""

    @model_validator(mode="before")
    @classmethod
    def _other_spellings(cls, data: Any) -> Any:
        return known_fields(data) if isinstance(data, dict) else data


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, or a span of it, that was not used, and why; the reason holds nothing of its text."""

    number: int
    reason: str
    split: str = ""
    """That the line names, as ``known_fields`` reads it; none where it is no JSON object."""


@dataclass
class BadSpans:
    """Spans that were left out of lines that were used."""

    spans: int = 0
    lines: int = 0
    first: list[BadLine] = field(default_factory=list)
    """At most ``MOST_KEPT`` of them."""

    def add(self, number: int, reasons: list[str]) -> None:
        """The unusable spans of one line."""
        self.spans += len(reasons)
        self.lines += bool(reasons)
        self.first += [BadLine(number, reason) for reason in reasons[: MOST_KEPT - len(self.first)]]


@dataclass
class Records:
    """What a file holds."""

    examples: list[BenchmarkExample] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    bad_spans: BadSpans = field(default_factory=BadSpans)


class _UnusableError(ValueError):
    """Why a line cannot be used."""


def read_records(path: Path) -> Records:
    """Read a file line by line; an example without id gets its line number. Shows a progress bar.

    Raises:
        TrainingError: the file cannot be read, or not one line of it can be used.
    """
    records = Records()
    for number, line in _lines(path):
        if not line.strip():
            continue
        raw: dict[str, Any] = {}
        try:
            raw = _object(line)
            example = _example(raw)
        except _UnusableError as error:
            split = str(known_fields(raw).get("split") or "train") if raw else ""
            records.bad.append(BadLine(number, str(error), split))
            continue
        spans, reasons = usable_spans(raw.get("spans"), example.text, example.labels)
        records.bad_spans.add(number, reasons)
        records.examples.append(example.model_copy(update={"id": example.id or str(number), "line": number, "spans": spans}))
    if not records.examples:
        why = f" Line {records.bad[0].number}: {records.bad[0].reason}." if records.bad else " It is empty."
        raise TrainingError(f'{path} holds no line that can be used.{why} A line is {{"text": …, "labels": […]}}.')
    return records


def refuse_what_would_not_compare(records: Records, path: Path) -> None:
    """A published figure is of all texts of a split; one of what is left of it must not stand beside it unnoticed.

    Raises:
        TrainingError: none of the lines of a split that the file names can be used, or over 1% of its test or validation
            split cannot, or over a tenth of all lines. ``FEW`` lines are never too many as long as some of the split are left.
    """
    used: Counter[str] = Counter(example.split or "train" for example in records.examples)
    for split in sorted({bad.split for bad in records.bad} - {""}):
        of_split = [bad for bad in records.bad if bad.split == split]
        lines = len(of_split) + used[split]
        most = MOST_OF_A_SPLIT * lines if split in ("test", "validation") else lines
        none_left = not used[split] and (split in SPLITS or len(of_split) > FEW)
        if none_left or len(of_split) > max(FEW, most):
            raise _too_many(f"{len(of_split)} of the {lines} lines of the split {split!r}", of_split, path)
    lines = len(records.bad) + len(records.examples)
    if len(records.bad) > max(FEW, MOST_OF_ALL * lines):
        raise _too_many(f"{len(records.bad)} of the {lines} lines", records.bad, path)


def first_lines(numbers: Iterable[int]) -> str:
    """``3, 17, 20, …``: the first ten, each once."""
    lines = list(dict.fromkeys(numbers))
    return ", ".join([*map(str, lines[:10]), *(["…"] if len(lines) > 10 else [])])


def _too_many(what: str, bad_lines: list[BadLine], path: Path) -> TrainingError:
    first = " ".join(f"Line {bad.number}: {bad.reason}." for bad in bad_lines[:3])
    return TrainingError(
        f"{path}: {what} cannot be used, so that figures would not compare with others' on the same data. {first} "
        "Correct these lines; or take them out of the file, if others left them out, too."
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = from_json(line)
    except ValueError as error:
        raise _UnusableError(f"this is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _UnusableError("this is no JSON object")
    return found


def _example(raw: dict[str, Any]) -> BenchmarkExample:
    try:
        example = BenchmarkExample.model_validate({**raw, "spans": None})
    except ValidationError as error:
        raise _UnusableError(first_problem(error)) from error
    if not example.text.strip():
        raise _UnusableError("text: there is nothing but space in it")
    return example


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        lines = path.open("rb")
    except OSError as error:
        raise TrainingError(f"Cannot read the data {path}: {error.strerror}.") from error
    with lines, Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Reading", total=path.stat().st_size)
        for number, line in enumerate(lines, start=1):
            yield number, line.removeprefix(BOM) if number == 1 else line
            progress.advance(bar, len(line))
