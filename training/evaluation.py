"""What a scorer is worth on a split: figures per label and language, with confidence intervals.

Predicted positive is status ``present``. Intervals are 95% percentile bootstrap over scenarios (texts of one scenario are
alike, so they are drawn together), 1,000 draws, fixed seed.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import evaluate
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import rankdata

from models.evidence import evidence_spans
from models.example import LabelledExample, Span
from models.runtime import RawScore, Scorer
from models.taxonomy import Taxonomy
from training.dataset import label_matrix
from training.trainer import METRIC_FOLDER

Array = NDArray[np.float64]
DRAWS = 1000


@dataclass(frozen=True)
class Predictions:
    """What a scorer says of a split, as arrays; the columns are the taxonomy's labels."""

    taxonomy: Taxonomy
    examples: Sequence[LabelledExample]
    truth: Array
    """[examples, labels], 0/1"""
    probabilities: Array
    """[examples, labels], calibrated"""
    present_from: Array
    """[labels]"""
    absent_below: Array
    """[labels]"""

    @property
    def decided(self) -> NDArray[np.bool_]:
        """[examples, labels], status is ``present``"""
        return np.asarray(self.probabilities >= self.present_from)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """[examples, labels], status is ``uncertain``"""
        return np.asarray((self.probabilities >= self.absent_below) & ~self.decided)

    @property
    def languages(self) -> list[str]:
        return [example.lang for example in self.examples]

    def part(self, rows: NDArray[np.bool_]) -> "Predictions":
        """The predictions of some rows; ``rows`` is [examples]."""
        return replace(
            self,
            examples=[example for example, wanted in zip(self.examples, rows, strict=True) if wanted],
            truth=self.truth[rows],
            probabilities=self.probabilities[rows],
        )


def predict(scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> Predictions:
    """Calibrated predictions from raw scores."""
    labels = scorer.taxonomy.label_ids
    fits = [scorer.calibration.labels[label] for label in labels]
    logits = np.array([score.logits for score in raw], dtype=np.float64)
    probabilities = np.array([[fit.probability(z) for fit, z in zip(fits, row, strict=True)] for row in logits])
    return Predictions(
        scorer.taxonomy,
        examples,
        label_matrix(examples, labels).numpy().astype(np.float64),
        probabilities,
        np.array([fit.present_from for fit in fits]),
        np.array([fit.absent_below for fit in fits]),
    )


def figures(
    scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore], trained_languages: Collection[str]
) -> dict[str, Any]:
    """All figures of a scorer on a split; the form of ``metrics.json``. Languages that training did not see have their own
    figures in ``languages`` and one mean, ``zero_shot_macro_f1``; the others are over the trained languages alone. Where no text
    is in one of these, all figures are over all texts."""
    everything = predict(scorer, examples, raw)
    trained = np.array([lang in trained_languages for lang in everything.languages])
    rows = trained if trained.any() else ~trained
    p = everything.part(rows)
    raw_of = [score for score, known in zip(raw, rows, strict=True) if known]
    indicators = len(scorer.taxonomy.indicators)
    scores = multi_label_scores(p)
    intervals = bootstrap_f1(p)
    per_label = {
        label: {
            **scores["labels"][label],
            "f1_interval": intervals["labels"][label],
            "expected_calibration_error": calibration_error(p.probabilities[:, i], p.truth[:, i]),
            "recall_at_precision_0.9": recall_at_precision(p.probabilities[:, i], p.truth[:, i], 0.9),
            "uncertain_share": float(p.uncertain[:, i].mean()),
        }
        for i, label in enumerate(scorer.taxonomy.label_ids)
    }
    zero_shot = everything.part(~trained)
    return {
        "examples": len(p.examples),
        "macro_f1": scores["macro_f1"],
        "macro_f1_interval": intervals["macro_f1"],
        "micro_f1": scores["micro_f1"],
        "mean_average_precision": scores["mean_average_precision"],
        "counter_indicator_macro_f1": float(
            np.mean([per_label[c]["f1"] for c in scorer.taxonomy.counter_indicator_ids] or [0.0])
        ),
        "document_type_accuracy": document_type_accuracy(scorer, p.examples, raw_of),
        "false_alert_share": false_alert_share(p),
        "uncertain_share": float(p.uncertain[:, :indicators].mean()),
        "evidence_token_f1": evidence_f1(p, raw_of, scorer.calibration.evidence_threshold),
        "zero_shot_macro_f1": multi_label_scores(zero_shot)["macro_f1"] if zero_shot.examples else None,
        "zero_shot_macro_f1_interval": bootstrap_f1(zero_shot)["macro_f1"] if zero_shot.examples else None,
        "labels": per_label,
        "languages": {
            language: {"zero_shot": language not in trained_languages, **_language_figures(everything, language)}
            for language in sorted(set(everything.languages))
        },
    }


def _language_figures(everything: Predictions, language: str) -> dict[str, Any]:
    p = everything.part(np.array([lang == language for lang in everything.languages]))
    scores = multi_label_scores(p)
    return {
        "examples": len(p.examples),
        "macro_f1": scores["macro_f1"],
        "macro_f1_interval": bootstrap_f1(p)["macro_f1"],
        "false_alert_share": false_alert_share(p),
        "label_f1": {name: entry["f1"] if entry["support"] else None for name, entry in scores["labels"].items()},
    }


def multi_label_scores(p: Predictions) -> dict[str, Any]:
    """Scores of our own ``evaluate`` module; the means are over the indicators, ``labels`` holds counter-indicators too."""
    metric = evaluate.load(METRIC_FOLDER)
    ids = list(p.taxonomy.label_ids)
    n = len(p.taxonomy.indicators)

    def compute(columns: slice) -> dict[str, Any]:
        scores = metric.compute(
            predictions=p.probabilities[:, columns],
            references=p.truth[:, columns],
            thresholds=p.present_from[columns],
            labels=ids[columns],
        )
        assert scores is not None
        return dict(scores)

    means = compute(slice(0, n))
    return {**means, "labels": compute(slice(0, len(ids)))["labels"]}


def bootstrap_f1(p: Predictions, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """95% intervals of F1 per label and of macro-F1 over the indicators; drawn by scenario."""
    groups = np.unique([e.scenario or f"#{i}" for i, e in enumerate(p.examples)], return_inverse=True)[1]
    decided, truth = p.decided, p.truth >= 0.5
    counts = np.stack([decided & truth, decided & ~truth, ~decided & truth]).astype(np.float64)  # [3, examples, labels]
    by_group = np.zeros((3, groups.max() + 1, truth.shape[1]))
    for kind in range(3):
        np.add.at(by_group[kind], groups, counts[kind])
    size = by_group.shape[1]
    draws_of = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)
    hits, false, missed = (draws_of @ by_group[kind] for kind in range(3))  # each [draws, labels]
    with np.errstate(invalid="ignore"):
        f1 = np.where(hits + missed > 0, 2 * hits / (2 * hits + false + missed), np.nan)
    n = len(p.taxonomy.indicators)
    return {
        "macro_f1": _interval(np.array([np.nanmean(row) if np.isfinite(row).any() else np.nan for row in f1[:, :n]])),
        "labels": {label: _interval(f1[:, i]) for i, label in enumerate(p.taxonomy.label_ids)},
    }


def _interval(values: Array) -> list[float] | None:
    known = values[np.isfinite(values)]
    return [float(v) for v in np.percentile(known, [2.5, 97.5])] if len(known) else None


def calibration_error(probabilities: Array, truth: Array, bins: int = 10) -> float:
    """Expected calibration error with bins of equal count (adaptive ECE, Nguyen & O'Connor 2015)."""
    place = np.minimum((rankdata(probabilities, "ordinal") - 1) * bins // len(probabilities), bins - 1).astype(int)
    gaps = [
        (place == b).mean() * abs(probabilities[place == b].mean() - truth[place == b].mean())
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))


def recall_at_precision(probabilities: Array, truth: Array, precision: float) -> float | None:
    """The highest recall at which the precision still holds; None without a positive, 0 where it is never reached."""
    if not truth.any():
        return None
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(truth[order])
    reached = hits / np.arange(1, len(order) + 1) >= precision
    return float(hits[reached].max() / truth.sum()) if reached.any() else 0.0


def false_alert_share(p: Predictions) -> float | None:
    """Share of the indicator-free texts in which any indicator is ``present``."""
    n = len(p.taxonomy.indicators)
    free = p.truth[:, :n].sum(axis=1) == 0
    return float(p.decided[free, :n].any(axis=1).mean()) if free.any() else None


def document_type_accuracy(scorer: Scorer, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> float | None:
    """Share of texts whose document type is right, of those that have one."""
    kinds = scorer.taxonomy.document_type_ids
    right = [
        kinds[int(np.argmax(softmax(score.document_type_logits)))] == example.document_type
        for example, score in zip(examples, raw, strict=True)
        if example.document_type
    ]
    return float(np.mean(right)) if right else None


def evidence_f1(p: Predictions, raw: Sequence[RawScore], threshold: float) -> float | None:
    """Token-F1 (words, micro-averaged) of evidence against reviewers' spans, where an indicator is rightly ``present``."""
    hits, given, wanted = evidence_counts(p, raw, threshold).sum(axis=0)
    return float(2 * hits / (given + wanted)) if given + wanted else None


def evidence_counts(p: Predictions, raw: Sequence[RawScore], threshold: float) -> Array:
    """[examples, 3]: words that are rightly evidence, words given as evidence, words in reviewers' spans; over the indicators
    that have a span and are ``present``."""
    counts = np.zeros((len(p.examples), 3))
    for row, (example, score) in enumerate(zip(p.examples, raw, strict=True)):
        for column, label in enumerate(p.taxonomy.indicator_ids):
            gold = [span for span in example.spans if span.label == label]
            if not gold or not p.decided[row, column]:
                continue
            values = [evidence[:, column] for evidence in score.evidence]
            found = evidence_spans(example.text, score.windows, values, threshold)
            gold_words = _words(example.text, gold)
            found_words = _words(example.text, [Span(start=s.start, end=s.end, label=label) for s in found])
            counts[row] += len(gold_words & found_words), len(found_words), len(gold_words)
    return counts


def _words(text: str, spans: Sequence[Span]) -> set[int]:
    """Start offsets of the words that the spans touch."""
    return {
        match.start()
        for match in re.finditer(r"\w+", text)
        if any(match.start() < s.end and match.end() > s.start for s in spans)
    }


def choose_evidence_threshold(taxonomy: Taxonomy, examples: Sequence[LabelledExample], raw: Sequence[RawScore]) -> float:
    """The threshold on token evidence with the best token-F1; for the validation split."""
    truth = label_matrix(examples, taxonomy.label_ids).numpy().astype(np.float64)
    right = Predictions(taxonomy, examples, truth, truth, np.full(truth.shape[1], 0.5), np.full(truth.shape[1], 0.5))
    candidates = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    return max(candidates, key=lambda threshold: evidence_f1(right, raw, threshold) or 0.0)
