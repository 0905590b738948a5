"""How far to trust a list of doubts: plant wrong labels, and see how many of them come to its top."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.example import LabelledExample
from models.taxonomy import Taxonomy
from training.noise.doubts import Doubt

Pair = tuple[int, str]
"""Place of an example, and a label."""


def planted(
    examples: Sequence[LabelledExample], taxonomy: Taxonomy, share: float, seed: int
) -> tuple[list[LabelledExample], set[Pair]]:
    """The examples with one wrong label in a share of them, at least one, and which these are.

    Every second one, if it has labels, loses one (with its spans), as by a reviewer who overlooks it; the others gain one that
    they have not, as by a reviewer who is misled: one of their hard negatives where there are any, else one drawn as often as
    it occurs. What annotators' shares said of the label is dropped, so that training on shares is taught the wrong label, too.
    """
    rng = Random(seed)
    chosen = rng.sample(range(len(examples)), k=max(1, round(share * len(examples))))
    changed = list(examples)
    wrong: set[Pair] = set()
    counts = [max(sum(label in example.labels for example in examples), 1) for label in taxonomy.label_ids]
    for number, place in enumerate(chosen):
        example = examples[place]
        if example.labels and (number % 2 or len(example.labels) == len(taxonomy.label_ids)):
            label = rng.choice(example.labels)
            changed[place] = example.model_copy(
                update={
                    "labels": [other for other in example.labels if other != label],
                    "spans": [span for span in example.spans if span.label != label],
                    "shares": _without(example.shares, label),
                }
            )
        else:
            label = _gained(example, taxonomy, counts, rng)
            changed[place] = example.model_copy(
                update={
                    "labels": [*example.labels, label],
                    "hard_negatives": [other for other in example.hard_negatives if other != label],
                    "shares": _without(example.shares, label),
                }
            )
        wrong.add((place, label))
    return changed, wrong


def _without(shares: dict[str, float] | None, label: str) -> dict[str, float] | None:
    return None if shares is None else {other: share for other, share in shares.items() if other != label}


def _gained(example: LabelledExample, taxonomy: Taxonomy, counts: list[int], rng: Random) -> str:
    if example.hard_negatives:
        return rng.choice(example.hard_negatives)
    others = [(label, count) for label, count in zip(taxonomy.label_ids, counts, strict=True) if label not in example.labels]
    (label,) = rng.choices([label for label, _ in others], [count for _, count in others])
    return label


@dataclass(frozen=True)
class Found:
    """What a list of doubts makes of planted errors."""

    planted: int
    pairs: int
    """Text–label pairs in all, of which the planted ones are some."""
    listed: int
    found_in_top: dict[str, float]
    """Share of the planted errors among the first so many doubts; the key says how many, as a multiple of the planted."""
    precision_at_planted: float
    """Share of planted errors among as many doubts as were planted. What is not planted may be a real error."""
    recall_lost: float
    """Share of the labels taken away that the top (twice as many as planted) holds."""
    recall_gained: float
    by_chance: float
    """What a list in random order would hold in a top of as many as were planted."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def found(
    doubts: Sequence[Doubt],
    wrong: set[Pair],
    examples: Sequence[LabelledExample],
    labels: int,
) -> Found:
    """Compare a list with what was planted.

    Args:
        doubts: in order, found on ``examples``.
        wrong: the planted pairs.
        examples: with the planted labels.
        labels: how many labels there are.
    """
    names = {(examples[place].id, label) for place, label in wrong}
    lost = {(examples[place].id, label) for place, label in wrong if label not in examples[place].labels}
    hit: NDArray[np.bool_] = np.array([(doubt.id, doubt.label) in names for doubt in doubts], dtype=bool)
    n = len(wrong)
    pairs = len(examples) * labels
    top = {(doubt.id, doubt.label) for doubt in doubts[: 2 * n]}
    gained = names - lost
    return Found(
        planted=n,
        pairs=pairs,
        listed=len(doubts),
        found_in_top={f"{times:g}x": float(hit[: round(times * n)].sum()) / n for times in (0.5, 1, 2, 4)},
        precision_at_planted=float(hit[:n].mean()) if len(hit) else 0.0,
        recall_lost=len(top & lost) / max(len(lost), 1),
        recall_gained=len(top & gained) / max(len(gained), 1),
        by_chance=n / pairs,
    )
