"""A sample of scored ads, as numbers: read from what ``signaal-serve score`` wrote, or scored here from plain texts.

Texts are read where a line has them and are let go at once; a ``Sample`` holds none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from models.scores import Status
from models.text import MARK, normalise
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.drift.reading import BundleReader

FEWEST = 50
"""Ads of a sample; below it no share means anything."""
EMBEDDED = 1000
"""So many texts of a sample are embedded at most, drawn at random: enough for the test, and it bounds the time."""
STATUSES = tuple(Status)
NOT_ASKED = -1


class _Label(BaseModel):
    probability: float = Field(ge=0, le=1)
    status: Status


class _Language(BaseModel):
    code: str


class _Kind(BaseModel):
    value: str


class _Model(BaseModel):
    name: str = ""
    version: str = ""
    bundle_digest: str


class SampleLine(BaseModel):
    """What is needed of a line: scored, or a text to be scored, or both."""

    text: str | None = Field(default=None, min_length=1)
    language: _Language | str | None = None
    document_type: _Kind | str | None = None
    indicators: dict[str, _Label] | None = None
    counter_indicators: dict[str, _Label] = {}
    model: _Model | None = None


@dataclass(frozen=True)
class Scored:
    """Scores as arrays: per label ``probabilities`` [ads] (NaN where it was not asked) and ``statuses`` [ads] (places in
    ``STATUSES``, or ``NOT_ASKED``)."""

    probabilities: dict[str, NDArray[np.float64]]
    statuses: dict[str, NDArray[np.int8]]
    languages: list[str]
    document_types: list[str]


@dataclass(frozen=True)
class Sample:
    """Scored ads without their texts. What needs texts is None where the file has none."""

    name: str
    digest: str
    """Of the bundle that scored them."""
    scored: Scored
    characters: NDArray[np.float64] | None = None
    """[ads]"""
    emoji_rate: NDArray[np.float64] | None = None
    """[ads], of all characters"""
    unknown_rate: NDArray[np.float64] | None = None
    """[ads], of all tokens"""
    disguised_rate: NDArray[np.float64] | None = None
    """[ads], words in which reading undid a disguise, of all words"""
    embeddings: NDArray[np.float64] | None = None
    """[at most ``EMBEDDED``, hidden]"""

    def __len__(self) -> int:
        return len(self.scored.languages)


@dataclass(frozen=True)
class SampleFile:
    """A file, read and checked, but not yet looked at by a model."""

    path: Path
    lines: list[SampleLine]

    @property
    def is_scored(self) -> bool:
        return self.lines[0].indicators is not None

    @property
    def has_texts(self) -> bool:
        return self.lines[0].text is not None

    @property
    def digest(self) -> str | None:
        """Of the bundle that scored it; None when it is not scored."""
        model = self.lines[0].model
        return model.bundle_digest if model else None


def read_sample_file(path: Path) -> SampleFile:
    """Read JSON Lines: results of ``signaal-serve score``, with or without a field ``text``, or plain texts.

    Raises:
        TrainingError: it cannot be read, has too few lines, or its lines are of different kinds or of different models.
            The message names the line and holds nothing of it.
    """
    lines: list[SampleLine] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    lines.append(_line(raw, path, number, lines[0] if lines else None))
    except OSError as error:
        raise TrainingError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TrainingError(f"{path} is not UTF-8.") from error
    if len(lines) < FEWEST:
        raise TrainingError(f"{path} holds {len(lines)} ads; to compare samples takes {FEWEST} at least.")
    return SampleFile(path, lines)


def _line(raw: str, path: Path, number: int, first: SampleLine | None) -> SampleLine:
    try:
        line = SampleLine.model_validate_json(raw)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise TrainingError(f"{path}:{number}: {where + ': ' if where else ''}{problem['msg']}") from None
    if line.indicators is None and line.text is None:
        raise TrainingError(
            f"{path}:{number}: neither a scored ad nor a text. Give what `signaal-serve score` wrote, or lines with a field text."
        )
    if line.indicators is not None and line.model is None:
        raise TrainingError(f"{path}:{number}: it does not say which model scored it (model.bundle_digest).")
    if first is not None:
        if (line.indicators is None, line.text is None) != (first.indicators is None, first.text is None):
            raise TrainingError(f"{path}:{number}: scored and unscored ads, or ads with and without text, are mixed.")
        if line.model and first.model and line.model.bundle_digest != first.model.bundle_digest:
            raise TrainingError(f"{path}:{number}: it was scored by another model than the lines before it.")
    return line


def sample_of(file: SampleFile, reader: "BundleReader | None", seed: int, embed: int = EMBEDDED) -> Sample:
    """The file as numbers.

    Args:
        file: from ``read_sample_file``.
        reader: needed when the file has texts.
        seed: of the texts that are embedded.
        embed: so many texts at most.
    """
    texts = [line.text for line in file.lines if line.text is not None]
    if not texts:
        return Sample(file.path.name, file.digest or "", _scored(file.lines))
    if reader is None:
        raise ValueError("A file with texts needs a reader.")
    scored = _scored(file.lines) if file.is_scored else reader.score(texts, [_code(line.language) for line in file.lines])
    facts = reader.facts(texts)
    chosen = np.random.default_rng(seed).permutation(len(texts))[:embed]
    return Sample(
        file.path.name,
        file.digest or reader.digest,
        scored,
        characters=np.array([one.characters for one in facts], dtype=np.float64),
        emoji_rate=np.array([one.emoji / max(one.characters, 1) for one in facts]),
        unknown_rate=np.array([one.unknown / max(one.tokens, 1) for one in facts]),
        disguised_rate=np.array([normalise(text).text.count(MARK) / max(len(text.split()), 1) for text in texts]),
        embeddings=reader.embed([texts[i] for i in np.sort(chosen)]),
    )


def _code(language: "_Language | str | None") -> str | None:
    return language.code if isinstance(language, _Language) else language


def _scored(lines: Sequence[SampleLine]) -> Scored:
    found = [(line.indicators or {}) | line.counter_indicators for line in lines]
    labels = list(dict.fromkeys(label for one in found for label in one))
    return Scored(
        {label: np.array([one[label].probability if label in one else np.nan for one in found]) for label in labels},
        {
            label: np.array([STATUSES.index(one[label].status) if label in one else NOT_ASKED for one in found], dtype=np.int8)
            for label in labels
        },
        [_code(line.language) or "und" for line in lines],
        [line.document_type.value if isinstance(line.document_type, _Kind) else "" for line in lines],
    )
