"""A labelled example, and the file of them: what passes from labelling to training.

One JSON object a line::

    {"id": "nl-0001", "text": "…", "lang": "nl", "labels": ["debt_or_fees"],
     "spans": [{"start": 3, "end": 17, "label": "debt_or_fees"}],
     "document_type": "recruitment_post", "scenario": "asparagus-bus", "split": "train"}

``start`` and ``end`` count characters (Unicode code points) of ``text``, end exclusive. Only ``text`` and ``labels`` are
required. An example with a label but no span for it leaves the label's attention free in training. ``hard_negatives`` are labels
that the text looks like and does not have; they weigh more in training, unless some annotator saw them. ``shares`` say how many
of those who judged a label saw it (``{"debt_or_fees": 0.67}``): training aims at the share, so that what people disagree about
teaches less. Figures are always taken on ``labels``. Where an adjudicator has decided, let that word weigh as much as those of
all annotators together (1 of 2 saw it, and so does the adjudicator: 0.75), as an export of the labelling room does.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ExampleError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Span(BaseModel):
    """Evidence: the words ``text[start:end]`` show ``label``."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0)
    end: int
    label: str

    def misfit(self, text: str, labels: Collection[str]) -> str | None:
        """Why it cannot be a span of an example with this text and these labels; None when it can. Holds nothing of the text."""
        if not self.start < self.end <= len(text):
            return f"span {self.start}–{self.end} does not fit a text of {len(text)} characters"
        return None if self.label in labels else f"a span has the label {self.label!r}, the example has not"


class LabelledExample(BaseModel):
    """One text with what was found in it."""

    id: str = ""
    text: str = Field(min_length=1)
    lang: str = "und"
    labels: list[str]
    spans: list[Span] = []
    hard_negatives: list[str] = []
    shares: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    """Label → share of those who judged it that saw it; a label that is not in it is as ``labels`` says."""
    document_type: str | None = None
    scenario: str = ""
    split: Split | None = None

    @model_validator(mode="after")
    def _spans_fit(self) -> "LabelledExample":
        for span in self.spans:
            if misfit := span.misfit(self.text, self.labels):
                raise ValueError(misfit)
        both = set(self.labels) & set(self.hard_negatives)
        if both:
            raise ValueError(f"{', '.join(sorted(both))} is a label and a hard negative at once")
        return self


def read_examples(path: Path) -> Iterator[LabelledExample]:
    """Read a labelled-examples file (JSON Lines), line by line.

    Raises:
        ExampleError: the file is missing, or a line breaks the schema; the message names the line.
    """
    try:
        lines = path.open(encoding="utf-8")
    except OSError as error:
        raise ExampleError(f"Cannot read the examples {path}: {error.strerror}.") from error
    with lines:
        for number, line in _numbered(lines, path):
            if not line.strip():
                continue
            try:
                yield LabelledExample.model_validate_json(line)
            except ValidationError as error:
                raise ExampleError(f"{path}:{number}: {first_problem(error)}") from error


def first_problem(error: ValidationError, *within: str) -> str:
    """The first thing that is wrong, after its place (below ``within``): ``spans.start: Field required``."""
    first = error.errors()[0]
    where = ".".join([*within, *map(str, first["loc"])])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _numbered(lines: Iterable[str], path: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(lines, start=1)
    except UnicodeDecodeError as error:
        raise ExampleError(f"{path} is not UTF-8.") from error


def write_examples(examples: Iterable[LabelledExample], path: Path) -> int:
    """Write a labelled-examples file; returns how many examples it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for example in examples:
            out.write(json.dumps(example.model_dump(exclude_none=True), ensure_ascii=False) + "\n")
            count += 1
    return count
