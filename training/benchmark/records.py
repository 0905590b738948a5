"""Reading a benchmark's data: JSON Lines as in ``models.example``, from many hands.

Data sets are written by others, so a line that cannot be used is set aside and reported, not fatal, and the common other
spellings are understood: ``label`` for one label, labels that are numbers, ``dev`` or ``val`` for the validation split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from rich.console import Console
from rich.progress import Progress

from models.example import LabelledExample
from training.errors import TrainingError

_SPLITS = {"dev": "validation", "val": "validation", "valid": "validation", "training": "train", "testing": "test"}


class BenchmarkExample(LabelledExample):
    """A labelled example of any label set."""

    @model_validator(mode="before")
    @classmethod
    def _other_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = {name: value for name, value in data.items() if value is not None}
        labels = data.get("labels", data.pop("label", None))
        if labels is not None:
            data["labels"] = [_as_text(label) for label in labels] if isinstance(labels, list) else [_as_text(labels)]
        for span in data.get("spans", ()):
            if isinstance(span, dict) and "label" in span:
                span["label"] = _as_text(span["label"])
        if "id" in data:
            data["id"] = _as_text(data["id"])
        split = data.get("split")
        if isinstance(split, str):
            data["split"] = _SPLITS.get(split, split)
        return data


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not used, and why; the reason holds nothing of its text."""

    number: int
    reason: str


@dataclass(frozen=True)
class Records:
    """What a file holds."""

    examples: list[BenchmarkExample]
    bad: list[BadLine]


def read_records(path: Path) -> Records:
    """Read a file line by line; an example without id gets its line number. Shows a progress bar.

    Raises:
        TrainingError: the file cannot be read, or not one line of it can be used.
    """
    examples: list[BenchmarkExample] = []
    bad: list[BadLine] = []
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            example = BenchmarkExample.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            bad.append(BadLine(number, f"{where + ': ' if where else ''}{first['msg']}"))
            continue
        if not example.text.strip():
            bad.append(BadLine(number, "text: there is nothing but space in it"))
            continue
        examples.append(example if example.id else example.model_copy(update={"id": str(number)}))
    if not examples:
        why = f" Line {bad[0].number}: {bad[0].reason}." if bad else " It is empty."
        raise TrainingError(f'{path} holds no line that can be used.{why} A line is {{"text": …, "labels": […]}}.')
    return Records(examples, bad)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        lines = path.open("rb")
    except OSError as error:
        raise TrainingError(f"Cannot read the data {path}: {error.strerror}.") from error
    with lines, Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Reading", total=path.stat().st_size)
        for number, line in enumerate(lines, start=1):
            yield number, line
            progress.advance(bar, len(line))
