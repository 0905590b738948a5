"""What the draws of a bootstrap take from a test split. Only the truth decides it, so every system is drawn alike.

Most figures are drawn in the usual way: as many texts as there are, with replacement. Macro-F1 is not: a label with one text
is in only 63% of such draws. Where it drops out of the mean, the interval moves up; where it counts as 0, it moves down. So
for macro-F1 texts are drawn within groups of one rarest label, and every label keeps its texts. That alone makes a label with
one text look as if it were known exactly; so a label with n texts has, in one draw of n, the F1 that a label of about as many
texts has in the same draw.

Simulated (52 labels, 13 of them with one text, 2,600 texts, 4 settings of 200 splits): of intervals meant to hold the mean
over such splits in 95%, these do in 94 to 98%; drawn within groups without other labels' F1 in 63 to 74%, with labels that
drop out in 86 to 95%, with labels that count as 0 in 46 to 66%.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

AT_ONCE = 50
ABOUT_AS_MANY = 2
"""A label takes the F1 of labels with at least half, and at most twice, as many texts."""


@dataclass(frozen=True)
class Draws:
    """Some draws."""

    texts: Floats
    """[draws, texts], how often each text is drawn."""
    within_groups: Floats
    """[draws, texts], the same where each rarest label keeps the number of its texts."""
    f1_of: NDArray[np.int64]
    """[draws, labels], the label whose F1 in ``within_groups`` each label has; mostly its own."""


def draws_of(truth: Bools, count: int, seed: int) -> Iterator[Draws]:
    """So many draws of the texts of ``truth`` [texts, labels], ``AT_ONCE`` at a time."""
    rng = np.random.default_rng(seed)
    groups = _groups_of_rarest_label(truth)
    everything = [np.arange(len(truth))]
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        texts, within = (_drawn(within, len(truth), size, rng) for within in (everything, groups))
        yield Draws(texts, within, _f1_of(truth.sum(0), size, rng))


def _groups_of_rarest_label(truth: Bools) -> list[NDArray[np.int64]]:
    """Places of the texts of each rarest label, and of those without a label."""
    rarest = np.where(truth, truth.sum(0), len(truth) + 1).argmin(axis=1)
    rarest[~truth.any(axis=1)] = -1
    return [np.flatnonzero(rarest == label) for label in np.unique(rarest)]


def _drawn(groups: list[NDArray[np.int64]], texts: int, size: int, rng: np.random.Generator) -> Floats:
    weights = np.zeros((size, texts))
    for rows in groups:
        weights[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=size)
    return weights


def _f1_of(wanted: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[size, labels] from how many texts have each label; one that no text has keeps its own."""
    own = np.tile(np.arange(len(wanted)), (size, 1))
    for label in np.flatnonzero(wanted):
        like = np.flatnonzero((wanted <= ABOUT_AS_MANY * wanted[label]) & (ABOUT_AS_MANY * wanted >= wanted[label]))
        others = rng.random(size) < 1 / wanted[label]
        own[others, label] = rng.choice(like, size=int(others.sum()))
    return own
