"""What decisions are worth: the figures of the literature, with 95% intervals.

Accuracy is the share of texts whose labels are all right (exact match where there are several). Macro-F1 is the mean that
scikit-learn's ``f1_score`` takes: with one label a text, over the labels that the test split has or was given; with any number,
over all labels of the task, and one that is neither there nor given counts as 0. Micro-F1 is over all decisions, weighted-F1 by
how often a label is. Intervals: percentile bootstrap over texts, 1,000 draws (``draws``), the labels that macro-F1 is a mean
over being those of the whole split in each; every system is drawn alike, and of several seeds the mean is taken within a draw,
so that differences can be read too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.benchmark.draws import Bools, Draws, Floats, draws_of

OVERALL = ("accuracy", "macro_f1", "micro_f1", "weighted_f1")
DRAWS = 1000


@dataclass(frozen=True)
class Outcome:
    """What was decided on a split, and what is true; both [texts, labels]. ``single``: exactly one label a text."""

    decided: Bools
    truth: Bools
    single: bool

    def part(self, rows: Bools) -> "Outcome":
        """Of some texts; ``rows`` is [texts]."""
        return Outcome(self.decided[rows], self.truth[rows], self.single)

    def scores(self, weights: Floats | None = None) -> dict[str, Floats]:
        """``OVERALL``, each [draws].

        Args:
            weights: [draws, texts], how often each text is drawn; every text once when None.
        """
        if weights is None:
            weights = np.ones((1, len(self.truth)))
        hits, given, wanted = self._counts(weights)
        f1 = _f1(hits, given, wanted)
        exact = weights @ (self.decided == self.truth).all(axis=1)
        return {
            "accuracy": exact / weights.sum(1),
            "macro_f1": f1[:, self._of_macro_f1].mean(1),
            "micro_f1": _f1(hits.sum(1), given.sum(1), wanted.sum(1)),
            "weighted_f1": (f1 * wanted).sum(1) / np.maximum(wanted.sum(1), 1),
        }

    def drawn_scores(self, draws: Draws) -> dict[str, Floats]:
        """``OVERALL`` in draws, each [draws]; macro-F1 as ``training.benchmark.draws`` says."""
        hits, given, wanted = self._counts(draws.within_groups)
        once = _f1(*self._counts(np.ones((1, len(self.truth)))))
        # Where texts have several labels, all those of one may be in the groups of rarer ones, and not be drawn.
        f1 = np.where(wanted > 0, _f1(hits, given, wanted), once)
        f1 = np.take_along_axis(f1, draws.f1_of, axis=1)
        return {**self.scores(draws.texts), "macro_f1": f1[:, self._of_macro_f1].mean(1)}

    @property
    def _of_macro_f1(self) -> Bools:
        """[labels], those that macro-F1 is the mean over."""
        seen = self.truth.any(axis=0) | self.decided.any(axis=0)
        return np.asarray(seen if self.single else np.ones_like(seen))

    def _counts(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Rightly given, given, and true, each [draws, labels]."""
        hits, given, wanted = (weights @ of_text for of_text in (self.decided & self.truth, self.decided, self.truth))
        return hits, given, wanted


def _f1(hits: Floats, given: Floats, wanted: Floats) -> Floats:
    return np.asarray(2 * hits / np.maximum(given + wanted, 1e-9))


def overall(outcome: Outcome) -> dict[str, float]:
    """``OVERALL`` as numbers."""
    return {name: float(value[0]) for name, value in outcome.scores().items()}


def per_label(outcome: Outcome, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and how many texts have it, by label."""
    hits = (outcome.decided & outcome.truth).sum(0)
    given, wanted = outcome.decided.sum(0), outcome.truth.sum(0)
    return {
        label: {
            "precision": float(hits[i] / max(given[i], 1)),
            "recall": float(hits[i] / max(wanted[i], 1)),
            "f1": float(2 * hits[i] / max(given[i] + wanted[i], 1)),
            "support": int(wanted[i]),
        }
        for i, label in enumerate(labels)
    }


def per_language(outcomes: Sequence[Outcome], languages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``OVERALL`` by language, means over the outcomes (seeds), intervals of accuracy and macro-F1, and how many texts."""
    of_text = np.array(languages)
    found: dict[str, dict[str, Any]] = {}
    for language in sorted(set(languages)):
        parts = [outcome.part(of_text == language) for outcome in outcomes]
        drawn = bootstrap(parts)
        means = {name: float(np.mean([overall(part)[name] for part in parts])) for name in OVERALL}
        intervals = {f"{name}_interval": interval(drawn[name]) for name in ("accuracy", "macro_f1")}
        found[language] = {**means, **intervals, "texts": int((of_text == language).sum())}
    return found


def bootstrap(outcomes: Sequence[Outcome], draws: int = DRAWS, seed: int = 0) -> dict[str, Floats]:
    """``OVERALL`` of the drawn texts, each [draws]; the mean over the outcomes, which are of the same texts (seeds)."""
    drawn: dict[str, list[Floats]] = {name: [] for name in OVERALL}
    for some in draws_of(outcomes[0].truth, draws, seed):
        scores = [outcome.drawn_scores(some) for outcome in outcomes]
        for name in OVERALL:
            drawn[name].append(np.mean([of_seed[name] for of_seed in scores], axis=0))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def interval(drawn: Floats) -> list[float]:
    """95%, of [draws]."""
    return [float(value) for value in np.percentile(drawn, [2.5, 97.5])]
