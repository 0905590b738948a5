"""The authored corpus: from marked-up files in ``labeling/corpus`` to labelled examples with splits.

A split is decided by a hash of the scenario alone: no scenario is ever in two splits, in any language, and adding
examples never moves an existing one. Zero-shot languages are all test.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labeling.errors import CorpusError, MarkupError
from labeling.markup import parse_markup
from models.example import LabelledExample, Split
from models.taxonomy import Taxonomy, packaged_taxonomy

CORPUS_FOLDER = Path(__file__).parent / "corpus"
TRAIN_SHARE = 0.65
VALIDATION_SHARE = 0.15
TRAINED_LANGUAGES = ("bg", "de", "en", "es", "fr", "hu", "nl", "pl", "pt", "ro")
ZERO_SHOT_LANGUAGES = ("it", "tr", "uk")
"""Languages that are only ever tested on: what the model makes of a language it was not trained in."""


class CorpusLine(BaseModel):
    """A line of a corpus file, as it is written."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z]{2}-\d{4}$")
    scenario: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    document_type: str
    text: str = Field(min_length=1)
    hard_negative_for: list[str] = []


class CorpusExample(BaseModel):
    """A corpus line with its markup read, and where it stands."""

    example: LabelledExample
    path: Path
    line: int


def split_of(scenario: str) -> Split:
    """The split of a scenario: a fixed share of the hash space."""
    draw = int.from_bytes(hashlib.sha256(scenario.encode()).digest()[:8]) / 2**64
    if draw < TRAIN_SHARE:
        return "train"
    return "validation" if draw < TRAIN_SHARE + VALIDATION_SHARE else "test"


def corpus_paths(folder: Path = CORPUS_FOLDER) -> list[Path]:
    """The corpus files of a folder, one a language, in order of name.

    Raises:
        CorpusError: the folder holds none.
    """
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise CorpusError([f"{folder} holds no *.jsonl file."])
    return paths


def read_corpus(paths: list[Path], taxonomy: Taxonomy | None = None) -> list[CorpusExample]:
    """Read corpus files; the language is the file's name.

    Raises:
        CorpusError: one problem or more, each as ``path:line: field: what is wrong``.
    """
    taxonomy = taxonomy or packaged_taxonomy()
    read: list[CorpusExample] = []
    problems: list[str] = []
    first_use: dict[str, str] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                corpus_line = CorpusLine.model_validate(json.loads(line))
                item = _read_line(corpus_line, path, number)
            except json.JSONDecodeError as error:
                problems.append(f"{where}: not JSON: {error.msg} at column {error.colno}")
                continue
            except ValidationError as error:
                problems += [f"{where}: {'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()]
                continue
            except MarkupError as error:
                problems.append(f"{where}: text: {error}")
                continue
            problems += [f"{where}: {problem}" for problem in _broken_rules(item, taxonomy)]
            if item.example.id in first_use:
                problems.append(f"{where}: id: {item.example.id} is already used at {first_use[item.example.id]}")
            first_use.setdefault(item.example.id, where)
            read.append(item)
    if problems:
        raise CorpusError(problems)
    return read


def _read_line(line: CorpusLine, path: Path, number: int) -> CorpusExample:
    text, spans = parse_markup(line.text)
    example = LabelledExample(
        id=line.id,
        text=text,
        lang=path.stem,
        labels=sorted({span.label for span in spans}),
        spans=spans,
        hard_negatives=line.hard_negative_for,
        document_type=line.document_type,
        scenario=line.scenario,
        split="test" if path.stem in ZERO_SHOT_LANGUAGES else split_of(line.scenario),
    )
    return CorpusExample(example=example, path=path, line=number)


def _broken_rules(item: CorpusExample, taxonomy: Taxonomy) -> Iterator[str]:
    """What the taxonomy forbids about one example."""
    example = item.example
    if not example.id.startswith(f"{example.lang}-"):
        yield f"id: {example.id} is in the file of language {example.lang!r}"
    if example.document_type not in taxonomy.document_type_ids:
        yield f"document_type: {example.document_type!r} is none of {', '.join(taxonomy.document_type_ids)}"
    for label in example.labels:
        if label not in taxonomy.label_ids:
            yield f"text: {label!r} is not a label of the taxonomy"
        elif example.document_type == "prevention_or_news":
            yield f"text: a prevention_or_news text carries no label, this one has {label}"
    for label in example.hard_negatives:
        if label not in taxonomy.label_ids:
            yield f"hard_negative_for: {label!r} is not a label of the taxonomy"
