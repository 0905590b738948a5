"""From judged texts to what more labels would give, with intervals.

The score is average precision: it needs no threshold. For a language it is the mean over the labels that occur in its judged
texts. Intervals are 95% percentiles over draws: judged scenarios are drawn with replacement (texts of one are alike), and
for each size one of its trainings; a power law is fitted to every draw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.taxonomy import Taxonomy
from training.curve.measure import Curve
from training.curve.power_law import PowerLaws, fit_power_laws
from training.dataset import label_matrix
from training.out_of_fold import scenario_groups

Array = NDArray[np.float64]
DRAWS = 200
FEWEST = 5
"""Judged texts that have a label, below which its curve is noise and is not shown."""


@dataclass(frozen=True)
class Gain:
    """The curve of one label or language. ``scores`` and ``low``/``high`` are [sizes]."""

    name: str
    positives: int
    """Texts with the label (texts of the language) among what may be learnt."""
    sizes: Array
    scores: Array
    low: Array
    high: Array
    laws: PowerLaws
    """The first is that of the scores themselves, the others of the draws."""

    def predicted(self, size: float) -> tuple[float, float, float]:
        """Score that the law gives at a size, with its interval."""
        scores = 1 - self.laws.at(size)
        return float(scores[0]), *_interval(scores[1:])

    def gain(self, more: int) -> tuple[float, float, float]:
        """How much the score would rise by ``more`` texts beyond the largest size, with its interval."""
        rise = self.laws.at(self.laws.most) - self.laws.at(self.laws.most + more)
        return float(rise[0]), *_interval(rise[1:])


def gains(curve: Curve, taxonomy: Taxonomy, seed: int) -> tuple[list[Gain], list[Gain]]:
    """The curves of labels and of languages that have enough judged texts."""
    truth = label_matrix(curve.judged, taxonomy.label_ids).numpy().astype(np.float64)
    rng = np.random.default_rng(seed)
    weights = _draws(curve, rng)
    pick = rng.integers(0, curve.logits.shape[1], size=(DRAWS, len(curve.sizes)))
    learnable = label_matrix(curve.learnable, taxonomy.label_ids).numpy().sum(axis=0)
    everything = np.ones(len(curve.judged), dtype=bool)

    def of_labels(columns: list[int], rows: NDArray[np.bool_]) -> Callable[[int, int], Array]:
        return lambda size, draw: _mean_of_known(
            [_average_precision(truth[rows, c], curve.logits[size, draw, rows, c], weights[:, rows]) for c in columns]
        )

    labels = [
        _gain(label, int(learnable[column]), curve, of_labels([column], everything), pick)
        for column, label in enumerate(taxonomy.label_ids)
        if truth[:, column].sum() >= FEWEST
    ]
    languages = []
    for language in sorted({example.lang for example in curve.judged}):
        rows = np.array([example.lang == language for example in curve.judged])
        columns = [column for column in range(truth.shape[1]) if truth[rows, column].sum() >= FEWEST]
        if columns:
            texts = sum(example.lang == language for example in curve.learnable)
            languages.append(_gain(language, texts, curve, of_labels(columns, rows), pick))
    return labels, languages


def _draws(curve: Curve, rng: np.random.Generator) -> Array:
    """[1 + draws, judged]: how often each text counts; in the first row once."""
    groups = np.unique(scenario_groups(curve.judged), return_inverse=True)[1]
    size = groups.max() + 1
    drawn = rng.multinomial(size, np.full(size, 1 / size), size=DRAWS).astype(np.float64)
    return np.vstack([np.ones(len(groups)), drawn[:, groups]])


def _gain(name: str, positives: int, curve: Curve, score: Callable[[int, int], Array], pick: NDArray[np.int64]) -> Gain:
    sizes, seeds = len(curve.sizes), curve.logits.shape[1]
    values = np.array([[score(size, draw) for draw in range(seeds)] for size in range(sizes)])  # [sizes, seeds, 1 + draws]
    plain = values[:, :, 0].mean(axis=1)
    drawn = np.array([[values[size, pick[d, size], d + 1] for size in range(sizes)] for d in range(DRAWS)])
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return Gain(name, positives, curve.sizes, plain, low, high, fit_power_laws(curve.sizes, 1 - np.vstack([plain, drawn])))


def _average_precision(truth: Array, scores: Array, weights: Array) -> Array:
    """Average precision of each row of weights, [draws]; NaN where no positive was drawn."""
    order = np.argsort(-scores, kind="stable")
    weights, truth = weights[:, order], truth[order]
    hits = np.cumsum(weights * truth, axis=1)
    seen = np.cumsum(weights, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, hits / seen, 0.0)
        return np.asarray((precision * weights * truth).sum(axis=1) / hits[:, -1])


def _mean_of_known(values: list[Array]) -> Array:
    """Mean over the labels of each draw, [draws]; NaN where it drew a positive of none."""
    stacked = np.array(values)
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0))


def _interval(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
