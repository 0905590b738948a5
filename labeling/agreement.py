"""How far annotators agree: on labels (Krippendorff's alpha), on evidence (token F1), and each of them over time.

Alpha counts what chance would give, takes any number of annotators and copes with ads that not everyone read
(Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011). Its own rule of thumb: from 0.8 on a label can be relied
on, from 0.667 tentatively. On rare labels it varies a lot, so it always comes with an interval.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from statistics import median

import krippendorff
import numpy as np
from numpy.typing import NDArray

from labeling.annotation import Annotation
from models.example import Span

RESAMPLES = 1000
CONFIDENCE = 0.95
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha with its bootstrap interval; all three are None where alpha does not exist: no ad was read twice, or every
    opinion is the same (then there is nothing to agree on)."""

    alpha: float | None
    low: float | None
    high: float | None
    ads: int
    """Ads with two opinions or more; only these count."""
    annotators: int


@dataclass(frozen=True, slots=True)
class SpanAgreement:
    """Token F1 between annotators who both judged a label present and both marked evidence for it."""

    f1: float | None
    """None where no pair of annotators did."""
    pairs: int


@dataclass(frozen=True, slots=True)
class DriftPoint:
    """One annotator in one stretch of time."""

    annotator: str
    start: datetime
    ads: int
    agreement: float | None
    """Share of judgements that are those of the majority of the others; None where no majority is there yet."""
    present: float
    """Share of judgements that say present."""
    seconds: float | None
    """Median time per ad."""


def alpha(annotations: Iterable[Annotation], label: str, *, seed: int = 0) -> Agreement:
    """Krippendorff's alpha (nominal) on whether a label is present.

    Opinions of annotators who could not decide, or opted out of the label, do not count. The interval is a percentile
    bootstrap over ads (``RESAMPLES`` of them, ``CONFIDENCE``).
    """
    return _agreement(annotations, lambda a: a.labels.get(label), seed)


def document_type_alpha(annotations: Iterable[Annotation], *, seed: int = 0) -> Agreement:
    """Krippendorff's alpha (nominal) on the document type; otherwise as ``alpha``."""
    return _agreement(annotations, lambda a: a.document_type, seed)


def alpha_by_language(annotations: Iterable[Annotation], label: str, languages: Mapping[str, str]) -> dict[str, Agreement]:
    """Alpha of a label for each language, in order of code; ``languages`` is ad id to language code."""
    of_language: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        of_language[languages[annotation.ad_id]].append(annotation)
    return {language: alpha(of_language[language], label) for language in sorted(of_language)}


def span_f1(annotations: Iterable[Annotation], texts: Mapping[str, str]) -> dict[str, SpanAgreement]:
    """Agreement on evidence per label, in order of label.

    F1 over tokens, pooled over all pairs of annotators: twice the shared tokens by the sum of both (Hripcsak and
    Rothschild 2005: what kappa tends to when unmarked words are many). A token counts when a span touches it. Whether the
    label is there at all is ``alpha``'s question.
    """
    marked: dict[tuple[str, str], list[frozenset[int]]] = defaultdict(list)
    for annotation in annotations:
        if not annotation.decided:
            continue
        for label in annotation.present:
            if spans := annotation.spans_of(label):
                marked[annotation.ad_id, label].append(_tokens(texts[annotation.ad_id], spans))
    shared: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    pairs: dict[str, int] = defaultdict(int)
    for (_, label), tokens in marked.items():
        for one, other in combinations(tokens, 2):
            shared[label] += 2 * len(one & other)
            total[label] += len(one) + len(other)
            pairs[label] += 1
    labels = sorted({label for _, label in marked})
    return {label: SpanAgreement(shared[label] / total[label] if total[label] else None, pairs[label]) for label in labels}


def drift(annotations: Iterable[Annotation], window: timedelta = timedelta(days=7)) -> list[DriftPoint]:
    """Each annotator's judgements in stretches of time, in order of annotator and time; annotations without a time do not count.

    Stretches are counted from the first annotation of all, so annotators can be plotted over one another.
    """
    decided = [a for a in annotations if a.decided]
    votes: dict[tuple[str, str], int] = defaultdict(int)
    for annotation in decided:
        for label, present in annotation.labels.items():
            votes[annotation.ad_id, label] += 1 if present else -1
    stretches: dict[tuple[str, int], list[Annotation]] = defaultdict(list)
    dated = [(a, a.saved_at) for a in decided if a.saved_at is not None]
    first = min((saved_at for _, saved_at in dated), default=None)
    for annotation, saved_at in dated:
        stretches[annotation.annotator, (saved_at - (first or saved_at)) // window].append(annotation)
    return [
        _drift_point(annotator, (first or datetime.min) + number * window, stretches[annotator, number], votes)
        for annotator, number in sorted(stretches)
    ]


def _drift_point(
    annotator: str, start: datetime, annotations: Sequence[Annotation], votes: Mapping[tuple[str, str], int]
) -> DriftPoint:
    agreed, judgements, present = [], 0, 0
    for annotation in annotations:
        for label, there in annotation.labels.items():
            judgements += 1
            present += there
            others = votes[annotation.ad_id, label] - (1 if there else -1)
            if others:
                agreed.append((others > 0) == there)
    seconds = [a.seconds for a in annotations if a.seconds is not None]
    return DriftPoint(
        annotator,
        start,
        len(annotations),
        sum(agreed) / len(agreed) if agreed else None,
        present / judgements if judgements else 0.0,
        median(seconds) if seconds else None,
    )


def _tokens(text: str, spans: Sequence[Span]) -> frozenset[int]:
    """Numbers of the text's tokens that a span touches."""
    places = [token.span() for token in _TOKEN.finditer(text)]
    return frozenset(i for i, (start, end) in enumerate(places) for span in spans if start < span.end and span.start < end)


def _agreement(annotations: Iterable[Annotation], opinion: Callable[[Annotation], Hashable | None], seed: int) -> Agreement:
    opinions: dict[str, dict[str, Hashable]] = defaultdict(dict)
    for annotation in annotations:
        value = opinion(annotation)
        if annotation.decided and value is not None:
            opinions[annotation.ad_id][annotation.annotator] = value
    twice = [of_ad for of_ad in opinions.values() if len(of_ad) > 1]
    annotators = {annotator for of_ad in twice for annotator in of_ad}
    values = {value: column for column, value in enumerate(sorted({v for of_ad in twice for v in of_ad.values()}, key=str))}
    if len(values) < 2:
        return Agreement(None, None, None, len(twice), len(annotators))
    counts = np.zeros((len(twice), len(values)), dtype=np.int64)
    for row, of_ad in enumerate(twice):
        for value in of_ad.values():
            counts[row, values[value]] += 1
    exact = float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    low, high = _interval(counts, seed)
    return Agreement(exact, low, high, len(twice), len(annotators))


def _interval(counts: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Bootstrap over ads. Ads with the same counts are alike, so how often each kind of ad is drawn is one multinomial draw:
    the same distribution as drawing ads one by one, at a cost that does not grow with their number."""
    kinds, times = np.unique(counts, axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(counts), times / len(counts), size=RESAMPLES)
    alphas = nominal_alphas(kinds, draws)
    alphas = alphas[~np.isnan(alphas)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(alphas, [tail, 1 - tail])
    return float(low), float(high)


def nominal_alphas(kinds: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Alpha of many samples at once.

    Args:
        kinds: [kinds of ad, values] how many annotators gave each value; two or more in each row.
        times: [samples, kinds of ad] how often each kind is in each sample.

    Returns:
        [samples], NaN where a sample holds one value only.
    """
    raters = kinds.sum(axis=1)
    disagreeing = (kinds * (raters[:, None] - kinds)).sum(axis=1) / (raters - 1)
    observed = times @ disagreeing
    of_value = times @ kinds
    total = of_value.sum(axis=1)
    expected = (of_value * (total[:, None] - of_value)).sum(axis=1) / (total - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)
