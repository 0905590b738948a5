"""Confident learning: labels whose own model, which never saw them, says otherwise.

Northcutt et al. 2021, "Confident Learning", by cleanlab, label by label (each is a yes or no of its own). cleanlab flags a
pair of text and label where the joint distribution of given and true labels says that errors are to be expected and this
pair is among the least credible; its quality score is the probability of what was given.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from numpy.typing import NDArray

from models.example import LabelledExample
from models.taxonomy import Taxonomy
from training.dataset import label_matrix
from training.errors import TrainingError

Given = Literal["present", "absent", "hard_negative"]
FEWEST = 10
"""Labels with fewer positives (or fewer negatives) are not judged: a model has not learnt what they look like."""


@dataclass(frozen=True)
class Doubt:
    """One label of one text that is probably wrong. Holds no text."""

    id: str
    lang: str
    label: str
    given: Given
    """``hard_negative``: absent, and marked as what it only looks like."""
    probability: float
    """That the label is present, out of sample (0–1)."""
    quality: float
    """cleanlab's score (0–1): how credible what was given is. The list begins with the lowest."""
    flagged: bool
    """Whether confident learning counts it among the errors that are to be expected; the rest is only unlikely."""
    reason: str


@dataclass(frozen=True)
class Judgement:
    """Doubts in order, and the labels that were not judged."""

    doubts: list[Doubt]
    too_rare: tuple[str, ...]


def find_doubts(
    examples: Sequence[LabelledExample], probabilities: NDArray[np.float64], taxonomy: Taxonomy, at_least: float = 0.5
) -> Judgement:
    """Labels that are probably wrong, the most doubtful first.

    Args:
        examples: as they are labelled.
        probabilities: [examples, labels], out of sample, calibrated.
        at_least: what is not flagged is listed too where the probability of the opposite is this high.

    Raises:
        TrainingError: every label is too rare.
    """
    truth = label_matrix(examples, taxonomy.label_ids).numpy()
    positives = truth.sum(axis=0)
    columns = [i for i, n in enumerate(positives) if FEWEST <= n <= len(examples) - FEWEST]
    if not columns:
        raise TrainingError(
            f"No label can be judged: for one, {FEWEST} texts that have it are needed, and as many that have not."
        )
    given = [[place for place, column in enumerate(columns) if row[column]] for row in truth]
    judged = np.clip(probabilities[:, columns], 1e-6, 1 - 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels in which it expects no error
        flags = find_multilabel_issues_per_class(given, judged, n_jobs=1)
        quality = get_label_quality_scores_per_class(given, judged)
    doubts = [
        _doubt(examples[row], taxonomy.label_ids[column], float(judged[row, place]), float(quality[row, place]), bool(flagged))
        for place, column in enumerate(columns)
        for row, flagged in enumerate(flags[:, place])
        if flagged or quality[row, place] <= 1 - at_least
    ]
    rare = tuple(label for i, label in enumerate(taxonomy.label_ids) if i not in columns)
    return Judgement(sorted(doubts, key=lambda doubt: (doubt.quality, doubt.id, doubt.label)), rare)


def _doubt(example: LabelledExample, label: str, probability: float, quality: float, flagged: bool) -> Doubt:
    given: Given = "present" if label in example.labels else "hard_negative" if label in example.hard_negatives else "absent"
    reason = {
        "present": f"marked, but texts like this seldom have it ({probability:.0%})",
        "absent": f"not marked, but texts like this mostly have it ({probability:.0%})",
        "hard_negative": f"marked as only looking like it, but texts like this mostly have it ({probability:.0%})",
    }[given]
    return Doubt(example.id, example.lang, label, given, probability, quality, flagged, reason)
