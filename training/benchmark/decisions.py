"""From logits to labels: the likeliest one, or all that reach their threshold.

Thresholds maximise F1 on the validation split. Of a rare label it has few positives, and a threshold fitted to them alone
is chance; so each label's counts are joined by ``PRIOR_POSITIVES`` positives' worth of all labels' counts together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from training.benchmark.task import Task

CANDIDATES = np.linspace(0.05, 0.95, 91)
PRIOR_POSITIVES = 10.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Decisions:
    """How a task's logits are read; ``thresholds`` [labels] on the probabilities are None for a single-label task."""

    thresholds: Floats | None

    @classmethod
    def fitted(cls, task: Task, logits: NDArray[np.float32], truth: Bools) -> "Decisions":
        """From the validation split; both [texts, labels]."""
        return cls(None if task.single else choose_thresholds(expit(logits.astype(np.float64)), truth))

    def probabilities(self, logits: NDArray[np.float32]) -> Floats:
        """[texts, labels]; not calibrated."""
        wide = logits.astype(np.float64)
        return np.asarray(softmax(wide, axis=1) if self.thresholds is None else expit(wide))

    def decide(self, logits: NDArray[np.float32]) -> Bools:
        """[texts, labels]"""
        if self.thresholds is None:
            return np.asarray(np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None])
        return np.asarray(self.probabilities(logits) >= self.thresholds)


def choose_thresholds(probabilities: Floats, truth: Bools) -> Floats:
    """[labels], from probabilities and truth [texts, labels]; of several equally good, the middle one."""
    hits = np.stack([((probabilities >= t) & truth).sum(0) for t in CANDIDATES])  # [candidates, labels]
    given = np.stack([(probabilities >= t).sum(0) for t in CANDIDATES])
    wanted = truth.sum(0)
    share = PRIOR_POSITIVES / max(int(wanted.sum()), 1)
    f1 = (
        2
        * (hits + share * hits.sum(1, keepdims=True))
        / np.maximum(given + wanted + share * (given.sum(1, keepdims=True) + wanted.sum()), 1e-9)
    )
    best = f1 >= f1.max(axis=0) - 1e-9
    return np.array([float(np.median(CANDIDATES[column])) for column in best.T])
