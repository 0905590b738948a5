"""The comparisons: each is a test and a size, and only both together are drift.

A test alone alarms at every trifle once samples are large; a size alone alarms by chance while they are small. So a
comparison has drifted where its p-value, adjusted for how many comparisons there are (Benjamini & Hochberg 1995, by scipy),
is below ``alpha`` AND its size reaches a threshold. Under no drift at all, ``alpha`` bounds the share of runs with any alarm.

Which tests: two-sample Kolmogorov–Smirnov on scores and on counts; chi-squared on languages and document types, Fisher's
exact test on the shares of ``present``; a classifier two-sample test on embeddings (Lopez-Paz & Oquab 2017). Sizes: the
population stability index (PSI; by habit 0.1 is small, 0.25 large), Cohen's h, and the classifier's AUC.

The embedding test is scikit-learn's and scipy's, which are here already. frouros 0.9 and alibi-detect 0.13 do not install
beside our pins; hyppo 0.5 would bring numba and statsmodels, evidently 0.7 a web server, for one test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.profile import BINS, RARE
from models.scores import Status
from training.drift.sample import FEWEST, NOT_ASKED, STATUSES, Sample
from training.errors import TrainingError

Array = NDArray[np.float64]
Size = Literal["psi", "cohen_h", "auc"]
A_HALF = 0.5
"""Added to every count of a PSI, so that an empty bin is little and not nothing (Jeffreys' prior)."""
COMPONENTS = 32
"""Of the embeddings, that the classifier sees; with all 384 it would learn single texts by heart."""
PRESENT = STATUSES.index(Status.PRESENT)


class Thresholds(BaseModel):
    """From where on a difference is drift; all of it is options of ``signaal-train drift``."""

    alpha: float = Field(default=0.01, ge=0, le=1, description="Adjusted p-value below which a difference is not chance.")
    psi: float = Field(
        default=0.1, ge=0, description="PSI of scores, languages, document types, and of what is counted in texts."
    )
    cohen_h: float = Field(default=0.2, ge=0, description="Cohen's h of a label's share of 'present' (1% to 5% is 0.25).")
    auc: float = Field(default=0.6, ge=0.5, le=1, description="AUC of a classifier that tells the two samples' embeddings apart.")


@dataclass(frozen=True)
class Comparison:
    """One thing that was compared. ``before`` and ``now`` are what a person wants to read: a mean or a share."""

    group: str
    name: str
    before: float | None
    now: float | None
    size: float
    kind: Size
    p: float
    p_adjusted: float = 1.0
    drifted: bool = False


def compare(reference: Sample, current: Sample, thresholds: Thresholds, seed: int = 0) -> list[Comparison]:
    """Every comparison that the two samples allow.

    Args:
        reference: how it was.
        current: how it is.
        thresholds: what counts as drift.
        seed: of the split in the embedding test.

    Raises:
        TrainingError: they were scored by different models, or have no label in common.
    """
    if reference.digest != current.digest:
        raise TrainingError(
            f"{reference.name} was scored by bundle {reference.digest[:12]}, {current.name} by {current.digest[:12]}: their "
            "scores cannot be compared. Score both with one model."
        )
    found = [
        *_scores(reference, current),
        _categories("mix", "languages", reference.scored.languages, current.scored.languages),
        *_document_types(reference, current),
        *_counts(reference, current),
        *_embeddings(reference, current, seed),
    ]
    if found[0].group != "scores":
        raise TrainingError(
            f"{reference.name} and {current.name} have no label in common that was scored {FEWEST} times in both."
        )
    adjusted = stats.false_discovery_control([one.p for one in found], method="bh")
    return [
        Comparison(
            **{
                **vars(one),
                "p_adjusted": float(p),
                "drifted": bool(p < thresholds.alpha and one.size >= getattr(thresholds, one.kind)),
            }
        )
        for one, p in zip(found, adjusted, strict=True)
    ]


def _scores(reference: Sample, current: Sample) -> Iterator[Comparison]:
    """Per label: the distribution of its probability, and its share of ``present``."""
    edges = np.linspace(0, 1, BINS + 1)[1:-1]
    shares = []
    for label in reference.scored.probabilities:
        before, now = (_asked(sample, label) for sample in (reference, current))
        if min(len(before), len(now)) < FEWEST:
            continue
        size = stability(np.digitize(before, edges), np.digitize(now, edges), BINS)
        p = float(stats.ks_2samp(before, now, method="asymp").pvalue)
        yield Comparison("scores", label, float(before.mean()), float(now.mean()), size, "psi", p)
        shares.append(_present(reference, current, label))
    yield from shares


def _asked(sample: Sample, label: str) -> Array:
    values = sample.scored.probabilities.get(label, np.empty(0))
    return values[np.isfinite(values)]


def _present(reference: Sample, current: Sample, label: str) -> Comparison:
    counts = []
    for sample in (reference, current):
        statuses = sample.scored.statuses[label]
        asked = statuses[statuses != NOT_ASKED]
        counts.append((int((asked == PRESENT).sum()), int((asked != PRESENT).sum())))
    (a, b), (c, d) = counts
    before, now = a / (a + b), c / (c + d)
    size = float(abs(2 * np.arcsin(np.sqrt(before)) - 2 * np.arcsin(np.sqrt(now))))
    return Comparison("present", label, before, now, size, "cohen_h", float(stats.fisher_exact(counts).pvalue))


def _document_types(reference: Sample, current: Sample) -> Iterator[Comparison]:
    before, now = reference.scored.document_types, current.scored.document_types
    if all(before) and all(now):
        yield _categories("mix", "document types", before, now)


def _categories(group: str, name: str, before: Sequence[str], now: Sequence[str]) -> Comparison:
    """Shares of categories; what is rare in both is one category."""
    counts = np.array([[values.count(key) for key in sorted({*before, *now})] for values in (list(before), list(now))])
    common = (counts / counts.sum(axis=1, keepdims=True) >= RARE).any(axis=0)
    table = np.column_stack([counts[:, common], counts[:, ~common].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    p = float(stats.chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0
    return Comparison(group, name, None, None, _psi(table[0], table[1]), "psi", p)


def _counts(reference: Sample, current: Sample) -> Iterator[Comparison]:
    """Length, emoji, unknown tokens and disguises of each text, where both samples have texts."""
    for name, before, now in (
        ("characters", reference.characters, current.characters),
        ("emoji per character", reference.emoji_rate, current.emoji_rate),
        ("unknown tokens per token", reference.unknown_rate, current.unknown_rate),
        ("disguised words per word", reference.disguised_rate, current.disguised_rate),
    ):
        if before is None or now is None:
            continue
        # Bins of equal count; many texts without any emoji fall into one of them, which is then larger.
        edges = np.unique(np.quantile(before, np.linspace(0.1, 0.9, 9)))
        size = stability(np.digitize(before, edges, right=True), np.digitize(now, edges, right=True), len(edges) + 1)
        p = float(stats.ks_2samp(before, now, method="asymp").pvalue)
        yield Comparison("texts", name, float(before.mean()), float(now.mean()), size, "psi", p)


def _embeddings(reference: Sample, current: Sample, seed: int) -> Iterator[Comparison]:
    if reference.embeddings is None or current.embeddings is None:
        return
    auc, p = tell_apart(reference.embeddings, current.embeddings, seed)
    yield Comparison("texts", "embeddings", None, None, auc, "auc", p)


def tell_apart(before: Array, now: Array, seed: int) -> tuple[float, float]:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017): a classifier learns on one half to tell the samples apart; on the
    other half its scores are compared by Mann–Whitney's test, which holds exactly because that half was never learnt from.

    Args:
        before, now: [ads, hidden].
        seed: of the split.

    Returns:
        AUC on the half that was held out (0.5: cannot be told apart), and the one-sided p-value.
    """
    values = np.concatenate([before, now])
    side = np.repeat([0, 1], [len(before), len(now)])
    learnt, held, side_learnt, side_held = train_test_split(values, side, test_size=0.5, random_state=seed, stratify=side)
    components = min(COMPONENTS, *learnt.shape)
    classifier = make_pipeline(
        StandardScaler(), PCA(components, random_state=seed), StandardScaler(), LogisticRegression(class_weight="balanced")
    )
    scores = classifier.fit(learnt, side_learnt).decision_function(held)
    test = stats.mannwhitneyu(scores[side_held == 1], scores[side_held == 0], alternative="greater")
    pairs = int((side_held == 1).sum()) * int((side_held == 0).sum())
    return float(test.statistic) / pairs, float(test.pvalue)


def stability(before: NDArray[np.int64], now: NDArray[np.int64], bins: int) -> float:
    """PSI of two samples of bin numbers (0 to ``bins`` − 1)."""
    return _psi(np.bincount(before, minlength=bins), np.bincount(now, minlength=bins))


def _psi(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """Population stability index of counts in the same bins (Siddiqi, Credit Risk Scorecards, 2006)."""
    a, b = before + A_HALF, now + A_HALF
    a, b = a / a.sum(), b / b.sum()
    return float(np.sum((b - a) * np.log(b / a)))
