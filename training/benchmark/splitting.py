"""Splits, where the data has none or not all.

Lines without a split count as training. A split that is missing is cut from the training split: for testing a tenth of it, at
most 5,000 texts; for validation, which published systems mostly train on, a tenth of up to 5,000 texts, a twentieth of more, at
most 2,000. Stratified by language and label, seeded; equal texts stay together, so that none is trained and tested on.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from models.example import SPLITS, Split
from training.benchmark.records import BenchmarkExample
from training.errors import TrainingError

MOST_CUT: dict[Split, int] = {"test": 5_000, "validation": 2_000}
MANY = 5_000
"""Training texts of which a twentieth is enough to choose an epoch and thresholds by."""
LEAST_IN_STRATUM = 3
"""Of what is rarer, nothing is taken away from training."""

Splits = dict[Split, list[BenchmarkExample]]


@dataclass(frozen=True)
class MadeSplits:
    """All three splits, and what was done to get them, in words."""

    splits: Splits
    notes: list[str]


def complete_splits(examples: Sequence[BenchmarkExample], seed: int) -> MadeSplits:
    """The examples by split, missing splits made.

    Raises:
        TrainingError: there is no training text, or too few to cut a split from.
    """
    splits: Splits = {split: [e for e in examples if (e.split or "train") == split] for split in SPLITS}
    if not splits["train"]:
        raise TrainingError(
            f"There is no training text: all {len(examples)} texts that can be used are in the test or validation split. "
            'Some lines need "split": "train", or none.'
        )
    notes: list[str] = []
    without = sum(example.split is None for example in examples)
    if 0 < without < len(examples):
        notes.append(f"{without} lines have no split; they count as training.")
    for split, most in MOST_CUT.items():
        if splits[split]:
            continue
        many = split == "validation" and len(splits["train"]) > MANY
        kept, cut = _cut(splits["train"], seed, one_in=20 if many else 10, most=most)
        if not cut or not kept:
            raise TrainingError(
                f"There is no {split} split, and {len(splits['train'])} training texts are too few to cut one from. "
                'Give each line a "split", or more lines.'
            )
        splits["train"], splits[split] = kept, cut
        notes.append(f"There was no {split} split: {len(cut)} texts were cut from training, stratified, seed {seed}.")
    seen = {_key(example) for example in splits["train"]}
    shared = sum(_key(example) in seen for example in splits["test"])
    if shared:
        notes.append(f"{shared} of the {len(splits['test'])} test texts are in the training split too, word for word.")
    return MadeSplits(splits, notes)


def _cut(
    examples: list[BenchmarkExample], seed: int, *, one_in: int, most: int
) -> tuple[list[BenchmarkExample], list[BenchmarkExample]]:
    """What stays and what is cut: in each stratum, and over neighbouring small ones, every so-manieth text (systematic
    sampling)."""
    groups: dict[str, list[BenchmarkExample]] = defaultdict(list)
    for example in examples:
        groups[_key(example)].append(example)
    counts = Counter(label for example in examples for label in example.labels)
    strata: dict[tuple[str, str], list[list[BenchmarkExample]]] = defaultdict(list)
    for group in groups.values():
        rarest = min(group[0].labels, key=lambda label: (counts[label], label), default="")
        strata[group[0].lang, rarest].append(group)
    draws = Random(seed)
    ordered: list[list[BenchmarkExample]] = []
    for _, stratum in sorted(strata.items()):
        if len(stratum) >= LEAST_IN_STRATUM:
            ordered += draws.sample(stratum, len(stratum))
    period = max(one_in, -(-len(examples) // most))
    cut = [example for group in ordered[period // 2 :: period] for example in group]
    taken = {id(example) for example in cut}
    return [example for example in examples if id(example) not in taken], cut


def _key(example: BenchmarkExample) -> str:
    return " ".join(example.text.split()).casefold()
