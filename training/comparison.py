"""Two models on the same test texts: every figure of each, the difference, and how sure it is.

All over the whole test split (a model's card leaves languages out that its own training did not see; two models may differ in
those). Intervals and P(better): see ``training.resampling``.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.settings import ModelSettings
from training.checks.indicator_check import Pair, load_pairs
from training.errors import TrainingError
from training.measurement import Contender, Measured, OpenContender, TestTexts, measure
from training.provenance import started_from, unseen_by
from training.resampling import Array, Difference, Resampling, difference, mean_over, ratio
from training.speed import Speed, measure_speed

BINS = 10
LEAST_IN_BIN = 30
"""Bins with fewer decisions are left out of the reliability curve, and of the average calibration error: they are noise."""

FIGURES: dict[str, tuple[str, bool]] = {
    "macro_f1": ("macro-F1 over the indicators", True),
    "micro_f1": ("micro-F1", True),
    "mean_average_precision": ("mean average precision", True),
    "counter_indicator_macro_f1": ("macro-F1 over the counter-indicators", True),
    "zero_shot_macro_f1": ("macro-F1 in languages neither was trained on", True),
    "document_type_accuracy": ("document type right", True),
    "false_alert_share": ("indicator-free texts with an alert", False),
    "uncertain_share": ("decisions that are uncertain", False),
    "evidence_token_f1": ("evidence: token-F1", True),
    "expected_calibration_error": ("expected calibration error, mean over the indicators", False),
    "average_calibration_error": ("average calibration error, over the bins of the reliability curve", False),
    "recall": ("recall", True),
    "recall_disguised": ("recall, words disguised", True),
    "obfuscation_recall_loss": ("recall lost when words are disguised", False),
    "identity_flips": ("texts in which an exchange of identity words brings or takes an indicator", False),
}
"""Name → what it is, and whether more of it is better."""


@dataclass(frozen=True)
class Comparison:
    """What came out; ``a`` is what there is (the champion), ``b`` what might follow it."""

    a: Contender
    b: Contender
    data: TestTexts
    scenarios: int
    figures: dict[str, Difference]
    label_f1: dict[str, Difference]
    label_average_precision: dict[str, Difference]
    positives: dict[str, int]
    """Per label."""
    language_f1: dict[str, Difference]
    language_false_alerts: dict[str, Difference]
    texts: dict[str, int]
    """Per language."""
    indicator_check: dict[str, Difference]
    """Per capability: failure rate."""
    pairs: dict[str, int]
    """Per capability."""
    changed: dict[str, int]
    """Decisions on indicators: ``all``, ``changed`` from A to B, and of these ``right_before`` and ``right_after``."""
    reliability: dict[str, list[dict[str, float]]]
    """``a`` and ``b``: per bin that has enough: mean ``probability``, true ``share``, ``decisions``."""
    speed: Speed

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        plain = {name: value for name, value in vars(self).items() if name not in ("a", "b", "data", "speed")}
        return {
            "a": _model_facts(self.a, self.data),
            "b": _model_facts(self.b, self.data),
            "data": {"name": self.data.name, "digest": self.data.digest, "test_texts": len(self.data.examples)},
            **{name: _plain(value) for name, value in plain.items()},
            "speed": asdict(self.speed),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return asdict(value) if isinstance(value, Difference) else value


def _model_facts(contender: Contender, data: TestTexts) -> dict[str, Any]:
    bundle = contender.bundle
    return {
        "name": bundle.manifest.name,
        "version": bundle.manifest.version,
        "bundle_digest": bundle.digest,
        "place": contender.place,
        "precision": contender.precision,
        "layers": bundle.manifest.base.layers,
        "graph_bytes": contender.graph.stat().st_size,
        "bundle_bytes": sum((bundle.folder / name).stat().st_size for name in bundle.manifest.files),
        "unseen": unseen_by(bundle, data.digest),
        "started_from": started_from(bundle),
    }


def compare(
    a: OpenContender, b: OpenContender, data: TestTexts, settings: ModelSettings, pairs: Sequence[Pair] | None = None
) -> Comparison:
    """Measure both and hold them against one another; ``pairs`` are those of IndicatorCheck when None.

    Raises:
        TrainingError: the models have different labels.
    """
    if a.bundle.taxonomy.label_ids != b.bundle.taxonomy.label_ids:
        raise TrainingError(f"{a.name} and {b.name} have different labels and cannot be compared.")
    pairs = load_pairs() if pairs is None else pairs
    of_a, of_b = (measure(contender, data, pairs, settings.cache_dir) for contender in (a, b))
    texts = Resampling(data.groups)
    zero_shot = np.array([e.lang not in a.trained_languages | b.trained_languages for e in data.examples])
    draws_a, draws_b = (_figures(measured, texts, zero_shot) for measured in (of_a, of_b))
    labels = a.bundle.taxonomy.label_ids
    return Comparison(
        a.closed,
        b.closed,
        data,
        len(set(data.groups)),
        {name: difference(draws_a[name], draws_b[name], higher_is_better=better) for name, (_, better) in FIGURES.items()},
        _by_column(labels, f1_per_label(of_a, texts), f1_per_label(of_b, texts)),
        _by_column(labels, _average_precision(of_a, texts), _average_precision(of_b, texts)),
        {label: int(of_a.predictions.truth[:, i].sum()) for i, label in enumerate(labels)},
        *_languages(of_a, of_b, texts),
        *_indicator_check(of_a, of_b),
        _changed(of_a, of_b),
        {"a": _reliability(of_a), "b": _reliability(of_b)},
        measure_speed(a.scorer, b.scorer, [example.text for example in data.examples]),
    )


def _figures(m: Measured, texts: Resampling, zero_shot: NDArray[np.bool_]) -> dict[str, Array]:
    """Every figure of ``FIGURES`` in every draw."""
    p, rewritten = m.predictions, m.rewritten
    n = len(p.taxonomy.indicators)
    truth = p.truth >= 0.5
    positive, everything = truth[:, :n], np.ones(len(truth))
    f1 = f1_per_label(m, texts)
    free = np.asarray(~positive.any(axis=1))
    hits, given, wanted = texts.sums(m.evidence).T
    recall, recall_disguised = (
        texts.share((found & positive).sum(axis=1), positive.sum(axis=1)) for found in (rewritten.plain, rewritten.disguised)
    )
    flipped = np.asarray((rewritten.plain != rewritten.swapped).any(axis=1))
    typed = np.array([example.document_type is not None for example in p.examples])
    found, false, missed = (texts.sums(counts.sum(axis=1)) for counts in _outcomes(p.decided[:, :n], positive))
    return {
        "macro_f1": mean_over(f1[:, :n]),
        "micro_f1": ratio(2 * found, 2 * found + false + missed),
        "mean_average_precision": mean_over(_average_precision(m, texts)[:, :n]),
        "counter_indicator_macro_f1": mean_over(f1[:, n:]),
        "zero_shot_macro_f1": mean_over(f1_per_label(m, texts, zero_shot)[:, :n]),
        "document_type_accuracy": texts.share(np.asarray(m.document_type_right & typed), typed),
        "false_alert_share": texts.share(p.decided[:, :n].any(axis=1) & free, free),
        "uncertain_share": texts.share(p.uncertain[:, :n].mean(axis=1), everything),
        "evidence_token_f1": ratio(2 * hits, given + wanted),
        "expected_calibration_error": _expected_calibration_error(p.probabilities[:, :n], positive, texts),
        "average_calibration_error": _average_calibration_error(p.probabilities[:, :n], positive, texts),
        "recall": recall,
        "recall_disguised": recall_disguised,
        "obfuscation_recall_loss": recall - recall_disguised,
        "identity_flips": texts.share(flipped & rewritten.changed, rewritten.changed),
    }


def _outcomes(decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Found, falsely found, missed."""
    return decided & truth, decided & ~truth, ~decided & truth


def f1_per_label(m: Measured, texts: Resampling, rows: NDArray[np.bool_] | None = None) -> Array:
    """[1 + draws, labels], of some rows of the texts; NaN in draws without a positive, as in ``evaluation.bootstrap_f1``."""
    p = m.predictions
    some = np.ones((len(p.truth), 1), dtype=bool) if rows is None else rows[:, None]
    hits, false, missed = (texts.sums(counts & some) for counts in _outcomes(p.decided, p.truth >= 0.5))
    return np.where(hits + missed > 0, ratio(2 * hits, 2 * hits + false + missed), np.nan)


def _average_precision(m: Measured, texts: Resampling) -> Array:
    p = m.predictions
    columns = range(p.truth.shape[1])
    return np.stack([texts.average_precision(p.probabilities[:, i], p.truth[:, i] >= 0.5) for i in columns], axis=1)


def _expected_calibration_error(probabilities: Array, truth: NDArray[np.bool_], texts: Resampling) -> Array:
    """Mean over the labels, with bins of equal count (as ``evaluation.calibration_error``), which are the same in every draw."""
    ranks = np.apply_along_axis(rankdata, 0, probabilities, "ordinal")
    place = np.minimum((ranks - 1) * BINS // len(ranks), BINS - 1)
    gaps = np.where(place[:, :, None] == np.arange(BINS), (probabilities - truth)[:, :, None], 0.0)  # [texts, labels, bins]
    per_label = ratio(np.abs(texts.sums(gaps)).sum(axis=2), texts.sums(np.ones((len(truth), 1))))
    return mean_over(per_label)


def _average_calibration_error(probabilities: Array, truth: NDArray[np.bool_], texts: Resampling) -> Array:
    """Mean distance of the reliability curve from the diagonal, bins of equal width counting alike (Neumann et al. 2018).
    Where nearly all probabilities are near 0, as here, the expected error says little of those that decide; this one does."""
    inside = _bins(probabilities)[:, :, None] == np.arange(BINS)  # [texts, labels, bins]
    counts = texts.sums(inside.sum(axis=1))
    gaps = texts.sums(np.where(inside, (probabilities - truth)[:, :, None], 0.0).sum(axis=1))
    return mean_over(np.where(counts[0] >= LEAST_IN_BIN, np.abs(ratio(gaps, counts)), np.nan))


def _bins(probabilities: Array) -> NDArray[np.int64]:
    return np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)


def _reliability(m: Measured) -> list[dict[str, float]]:
    n = len(m.predictions.taxonomy.indicators)
    probabilities, truth = m.predictions.probabilities[:, :n], m.predictions.truth[:, :n]
    place = _bins(probabilities)
    return [
        {
            "probability": float(probabilities[place == b].mean()),
            "share": float(truth[place == b].mean()),
            "decisions": int((place == b).sum()),
        }
        for b in range(BINS)
        if (place == b).sum() >= LEAST_IN_BIN
    ]


def _by_column(names: Sequence[str], a: Array, b: Array, *, higher_is_better: bool = True) -> dict[str, Difference]:
    return {name: difference(a[:, i], b[:, i], higher_is_better=higher_is_better) for i, name in enumerate(names)}


def _languages(
    a: Measured, b: Measured, texts: Resampling
) -> tuple[dict[str, Difference], dict[str, Difference], dict[str, int]]:
    n = len(a.predictions.taxonomy.indicators)
    of = np.array(a.predictions.languages)
    f1: dict[str, Difference] = {}
    alerts: dict[str, Difference] = {}
    for language in map(str, np.unique(of)):
        rows = of == language
        f1[language] = difference(*(mean_over(f1_per_label(m, texts, rows)[:, :n]) for m in (a, b)), higher_is_better=True)
        free = rows & (a.predictions.truth[:, :n].sum(axis=1) == 0)
        alerts[language] = difference(
            *(texts.share(m.predictions.decided[:, :n].any(axis=1) & free, free) for m in (a, b)), higher_is_better=False
        )
    return f1, alerts, {language: int((of == language).sum()) for language in f1}


def _indicator_check(a: Measured, b: Measured) -> tuple[dict[str, Difference], dict[str, int]]:
    """Failure rates per capability, drawn by pair."""
    of = np.array([outcome.pair.capability for outcome in a.outcomes])
    pairs = Resampling([outcome.pair.id for outcome in a.outcomes])

    def rate(m: Measured, capability: str) -> Array:
        rows = of == capability
        counted = rows & np.array([outcome.counted for outcome in m.outcomes])
        return pairs.share(counted & ~np.array([outcome.right for outcome in m.outcomes]), counted)

    capabilities = [str(name) for name in dict.fromkeys(of)]
    return (
        {name: difference(rate(a, name), rate(b, name), higher_is_better=False) for name in capabilities},
        {name: int((of == name).sum()) for name in capabilities},
    )


def _changed(a: Measured, b: Measured) -> dict[str, int]:
    n = len(a.predictions.taxonomy.indicators)
    before, after = a.predictions.decided[:, :n], b.predictions.decided[:, :n]
    truth = a.predictions.truth[:, :n] >= 0.5
    differ = before != after
    return {
        "all": int(differ.size),
        "changed": int(differ.sum()),
        "right_before": int((differ & (before == truth)).sum()),
        "right_after": int((differ & (after == truth)).sum()),
    }
