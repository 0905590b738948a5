"""What a run is given: labelled-examples files, their splits, and what is known about them."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from models.base import sha256_of
from models.example import SPLITS, LabelledExample, Split, read_examples
from models.taxonomy import Taxonomy
from training.errors import TrainingError
from training.settings import DataSource


@dataclass(frozen=True)
class DataFile:
    """A file that was read, as a bundle remembers it."""

    path: Path
    sha256: str
    share: float


@dataclass(frozen=True)
class TrainingData:
    """Labelled-examples files, read and checked."""

    splits: dict[Split, list[LabelledExample]]
    digest: str
    """Which examples exactly a model saw: SHA-256 of the file, or of the digests and shares of several."""
    description: str
    """What is written about the data beside it (``corpus.jsonl`` → ``corpus.md``), for the model card."""
    files: tuple[DataFile, ...] = ()
    draws: tuple[int, ...] = ()
    """How often an epoch draws each example of the training split; once each when empty."""

    @property
    def counts(self) -> dict[Split, int]:
        return {split: len(examples) for split, examples in self.splits.items()}

    @property
    def sizes(self) -> str:
        """The counts, for a person."""
        return ", ".join(f"{count} {split} examples" for split, count in self.counts.items())

    @property
    def languages(self) -> frozenset[str]:
        """Languages that training sees; the test split may hold others (zero-shot)."""
        return frozenset(example.lang for example in self.splits["train"])


def load_data(path: Path, taxonomy: Taxonomy) -> TrainingData:
    """Read one labelled-examples file with splits; errors as ``load_sources``."""
    return load_sources([DataSource(path=path)], taxonomy)


def load_sources(sources: Sequence[DataSource], taxonomy: Taxonomy, *, seed: int = 0) -> TrainingData:
    """Read labelled-examples files with splits.

    Args:
        sources: the files. The training scenarios of one are left out or drawn again by its share; an example that is left
            out is in no split.
        taxonomy: the labels that there may be.
        seed: chooses which scenarios a share between whole numbers takes.

    Raises:
        ExampleError: a line breaks the schema.
        TrainingError: an example has no split or an unknown label, a scenario or a text is in two splits of one file or of two,
            or a split is empty.
    """
    splits: dict[Split, list[LabelledExample]] = {split: [] for split in SPLITS}
    draws: list[int] = []
    split_of: dict[str, tuple[Split, Path]] = {}
    for source in sources:
        examples = list(read_examples(source.path))
        for number, example in enumerate(examples, start=1):
            _check(example, f"{source.path}: example {example.id or number}", taxonomy)
            _check_leak(example, f"{source.path}: example {example.id or number}", source.path, split_of)
        for split in ("validation", "test"):
            splits[split] += [example for example in examples if example.split == split]
        training = [example for example in examples if example.split == "train"]
        for example, times in zip(training, _draws(training, source, seed), strict=True):
            if times:
                splits["train"].append(example)
                draws.append(times)
    empty = [split for split in SPLITS if not splits[split]]
    names = ", ".join(str(source.path) for source in sources)
    if empty:
        raise TrainingError(f"{names} has no example in the split {' and '.join(empty)}.")
    files = tuple(DataFile(source.path, sha256_of(source.path), source.share) for source in sources)
    return TrainingData(splits, digest_of(files), _description(files), files, tuple(draws))


def check_test_split(data: TrainingData, taxonomy: Taxonomy) -> None:
    """Before hours of training: figures can be taken afterwards, over the languages that training sees.

    Raises:
        TrainingError: no test text is in one, or none of these has an indicator.
    """
    tested = {example.lang for example in data.splits["test"]}
    if not tested & data.languages:
        of_test, of_training = (", ".join(map(repr, sorted(languages))) for languages in (tested, data.languages))
        raise TrainingError(
            f"{', '.join(str(file.path) for file in data.files)}: no test text is in a language that training sees: the split "
            f"'test' has {of_test}, 'train' has {of_training}. Correct the examples' lang, or add test texts."
        )
    check_indicators([example for example in data.splits["test"] if example.lang in data.languages], taxonomy)


def check_indicators(test: Sequence[LabelledExample], taxonomy: Taxonomy) -> None:
    """There is something to be found in the texts that figures are taken of.

    Raises:
        TrainingError: none has an indicator.
    """
    if not any(label in taxonomy.indicator_ids for example in test for label in example.labels):
        raise TrainingError(f"None of the {len(test)} test texts that count has an indicator: F1 cannot be measured. Add some.")


def _check(example: LabelledExample, where: str, taxonomy: Taxonomy) -> None:
    if example.split is None:
        raise TrainingError(f"{where} has no split. Give each one of {', '.join(SPLITS)}.")
    check_names(example, where, taxonomy)


def check_names(example: LabelledExample, where: str, taxonomy: Taxonomy) -> None:
    """Every label and the document type are the taxonomy's.

    Args:
        example: to be checked.
        where: file and example, for the message.
        taxonomy: what there may be.

    Raises:
        TrainingError: one of them is not.
    """
    unknown = sorted({*example.labels, *example.hard_negatives, *(example.shares or {})} - set(taxonomy.label_ids))
    if unknown:
        raise TrainingError(f"{where} has labels that taxonomy {taxonomy.version} lacks: {', '.join(unknown)}.")
    if example.document_type is not None and example.document_type not in taxonomy.document_type_ids:
        raise TrainingError(f"{where} has the unknown document type {example.document_type!r}.")


def _check_leak(example: LabelledExample, where: str, path: Path, split_of: dict[str, tuple[Split, Path]]) -> None:
    """A model must not be tested on what it saw."""
    assert example.split is not None
    text = hashlib.sha256(example.text.encode()).hexdigest()
    keys = {f"text {text}": "text"} | ({f"scenario {example.scenario}": "scenario"} if example.scenario else {})
    for key, kind in keys.items():
        split, other = split_of.setdefault(key, (example.split, path))
        if split != example.split:
            named = f"scenario {example.scenario!r}" if kind == "scenario" else "text"
            across = "" if other == path else f" ({split} in {other})"
            raise TrainingError(f"{where}: its {named} is in two splits{across}; a model would be tested on what it saw.")


def _draws(examples: list[LabelledExample], source: DataSource, seed: int) -> list[int]:
    """How often an epoch draws each training example of a source: whole scenarios, so that their contrasts stay."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        places[example.scenario or f"#{index}"].append(index)
    whole = int(source.share)
    scenarios = list(places.values())
    more = Random(f"{seed} {sha256_of(source.path)}").sample(scenarios, k=round((source.share - whole) * len(scenarios)))
    draws = [whole] * len(examples)
    for index in (index for scenario in more for index in scenario):
        draws[index] += 1
    return draws


def digest_of(files: Sequence[DataFile]) -> str:
    """Which examples exactly: of one whole file its SHA-256."""
    if len(files) == 1 and files[0].share == 1:
        return files[0].sha256
    return hashlib.sha256("\n".join(f"{file.sha256} {file.share}" for file in files).encode()).hexdigest()


def _description(files: Sequence[DataFile]) -> str:
    """What is written beside the files; a paragraph that several have is there once."""
    beside = [file.path.with_suffix(".md") for file in files]
    written = [path.read_text(encoding="utf-8") for path in beside if path.is_file()]
    paragraphs = dict.fromkeys(one.strip("\n").rstrip() for text in written for one in re.split(r"\n\s*\n", text) if one.strip())
    return "\n\n".join(paragraphs) or "Nothing is written about where the texts come from."
