"""Paired bootstrap: is one model better than another on the same texts, or does it only look so?

Texts of one scenario are alike, so scenarios are drawn, and both models are seen on the same draws: what makes a draw hard for
one makes it hard for the other, and drops out of their difference. Percentile intervals (95%) of 1,000 draws, fixed seed. After
Efron & Tibshirani 1993, "An Introduction to the Bootstrap", and Koehn 2004, "Statistical Significance Tests for Machine
Translation Evaluation", from whom P(better) is: the share of draws in which B is ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 1000


class Resampling:
    """How often each text is in each draw. Row 0 of everything is the texts themselves, once each; the others are draws.

    Args:
        groups: [texts], what is drawn together.
    """

    def __init__(self, groups: Sequence[str], draws: int = DRAWS, seed: int = 0) -> None:
        names, self._group_of = np.unique(np.array(groups, dtype=str), return_inverse=True)
        size = len(names)
        drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
        self._times: Array = np.vstack([np.ones(size), drawn]).astype(np.float64)  # [1 + draws, groups]

    def sums(self, values: NDArray[np.generic]) -> Array:
        """Sums over the texts, in every draw: [texts, …] to [1 + draws, …]."""
        flat = values.reshape(len(values), -1).astype(np.float64)
        of_group = np.zeros((self._times.shape[1], flat.shape[1]))
        np.add.at(of_group, self._group_of, flat)
        return (self._times @ of_group).reshape(-1, *values.shape[1:])

    def share(self, part: NDArray[np.generic], whole: NDArray[np.generic]) -> Array:
        """A share in every draw: sums of ``part`` over sums of ``whole``; NaN where there is nothing to share."""
        return ratio(self.sums(part), self.sums(whole))

    def average_precision(self, scores: Array, truth: NDArray[np.bool_]) -> Array:
        """Average precision in every draw, [1 + draws]; NaN in draws without a positive.

        Args:
            scores: [texts].
            truth: [texts].
        """
        order = np.argsort(-scores, kind="stable")
        times = self._times[:, self._group_of[order]]
        positives = times * truth[order]
        precision = ratio(np.cumsum(positives, axis=1), np.cumsum(times, axis=1))
        return ratio((np.nan_to_num(precision) * positives).sum(axis=1), positives.sum(axis=1))


def ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, NaN where ``whole`` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))


def mean_over(values: Array) -> Array:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two models on the same texts. Everything is None where the texts do not give it."""

    a: float | None
    b: float | None
    difference: float | None
    """B's figure less A's."""
    interval: tuple[float, float] | None
    """95% interval of the difference."""
    p_better: float | None
    """Share of the draws in which B is better; a draw in which they are equal counts half."""
    higher_is_better: bool


def difference(a: Array, b: Array, *, higher_is_better: bool) -> Difference:
    """From a figure in every draw (row 0: as the texts are), for each model."""
    gap = b - a
    drawn = gap[1:][np.isfinite(gap[1:])]
    if not np.isfinite(gap[0]) or not len(drawn):
        return Difference(_number(a[0]), _number(b[0]), None, None, None, higher_is_better)
    low, high = np.percentile(drawn, [2.5, 97.5])
    better = (drawn > 0) if higher_is_better else (drawn < 0)
    p = float((better + 0.5 * (drawn == 0)).mean())
    return Difference(_number(a[0]), _number(b[0]), float(gap[0]), (float(low), float(high)), p, higher_is_better)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
