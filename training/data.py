"""What a run is given: a labelled-examples file, its splits, and what is known about it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from models.example import SPLITS, LabelledExample, Split, read_examples
from models.taxonomy import Taxonomy
from training.errors import TrainingError


@dataclass(frozen=True)
class TrainingData:
    """A labelled-examples file, read and checked."""

    splits: dict[Split, list[LabelledExample]]
    digest: str
    """SHA-256 of the file: which examples exactly a model saw."""
    description: str
    """What is written about the data beside it (``corpus.jsonl`` → ``corpus.md``), for the model card."""

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
    """Read a labelled-examples file with splits.

    Raises:
        ExampleError: a line breaks the schema.
        TrainingError: an example has no split or an unknown label, or a scenario is in two splits.
    """
    splits = _read_splits(path, taxonomy)
    beside = path.with_suffix(".md")
    description = beside.read_text(encoding="utf-8").strip() if beside.is_file() else ""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return TrainingData(splits, digest, description or "Nothing is written about where the texts come from.")


def _read_splits(path: Path, taxonomy: Taxonomy) -> dict[Split, list[LabelledExample]]:
    splits: dict[Split, list[LabelledExample]] = {split: [] for split in SPLITS}
    split_of_scenario: dict[str, Split] = {}
    for number, example in enumerate(read_examples(path), start=1):
        where = f"{path}: example {example.id or number}"
        if example.split is None:
            raise TrainingError(f"{where} has no split. Give each one of {', '.join(SPLITS)}.")
        unknown = sorted({*example.labels, *(example.shares or {})} - set(taxonomy.label_ids))
        if unknown:
            raise TrainingError(f"{where} has labels that taxonomy {taxonomy.version} lacks: {', '.join(unknown)}.")
        if example.document_type is not None and example.document_type not in taxonomy.document_type_ids:
            raise TrainingError(f"{where} has the unknown document type {example.document_type!r}.")
        if example.scenario and split_of_scenario.setdefault(example.scenario, example.split) != example.split:
            raise TrainingError(
                f"{where}: its scenario {example.scenario!r} is in two splits; a model would be tested on what it saw."
            )
        splits[example.split].append(example)
    empty = [split for split in SPLITS if not splits[split]]
    if empty:
        raise TrainingError(f"{path} has no example in the split {' and '.join(empty)}.")
    return splits
