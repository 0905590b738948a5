"""Calibration: from logits to probabilities that mean what they say, and from probabilities to decisions.

Platt scaling per label, ``p = sigmoid(scale · logit + bias)`` (Platt 1999), but with few positives a label's own fit is
noise, so each label is drawn towards one fit shared by all: a MAP estimate with a normal prior on ``log scale`` and
``bias`` around the shared values (the partial pooling of hierarchical models). Fitted on the validation split only, on
the logits of the graph that is served.

Two thresholds a label: below the first ``absent``, from the second ``present``, ``uncertain`` between. All indicators have one
``present_from``: the lowest with which few texts without an indicator get any. Given up: a threshold of its own for each
indicator. Fitted to a few dozen positives these looked better on the validation split and were worse on scenarios left out of
it, at the same share of false alerts (docs/model-selection.md).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from models.scores import Status

Array = NDArray[np.float64]

PRIOR_SPREAD = 0.5
"""Standard deviation of a label's log scale and bias around the shared fit."""
MISSED_SHARE = 0.1
"""At most this share of a label's positives may fall below ``absent_below``."""

FALSE_ALERTS = 0.06
"""At most this share of the texts without an indicator may have one ``present``."""
LEAST_PRESENT = 0.35
"""What is less likely is never ``present``."""


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """Scale and bias of one label's logit, and its two thresholds on the calibrated probability."""

    scale: float
    bias: float
    absent_below: float
    present_from: float

    def probability(self, logit: float) -> float:
        return float(expit(self.scale * logit + self.bias))

    def status(self, probability: float) -> Status:
        if probability >= self.present_from:
            return Status.PRESENT
        return Status.ABSENT if probability < self.absent_below else Status.UNCERTAIN


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns the network's outputs into answers; saved as ``calibration.json``."""

    labels: dict[str, LabelCalibration]
    document_type_temperature: float = 1.0
    evidence_threshold: float = 0.5

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Calibration":
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` when the data is not a calibration."""
        labels = data["labels"]
        if not isinstance(labels, dict):
            raise TypeError("labels is not an object")
        return cls(
            {name: LabelCalibration(**values) for name, values in labels.items()},
            float(data["document_type_temperature"]),  # type: ignore[arg-type]
            float(data["evidence_threshold"]),  # type: ignore[arg-type]
        )


def uncalibrated(labels: tuple[str, ...]) -> Calibration:
    """Plain sigmoid, thresholds 0.3 and 0.5: what a model has before it is calibrated."""
    return Calibration({label: LabelCalibration(1.0, 0.0, 0.3, 0.5) for label in labels})


def fit_platt(logits: Array, targets: Array) -> list[tuple[float, float]]:
    """Scale and bias per label, drawn towards the shared fit.

    Args:
        logits: [examples, labels].
        targets: [examples, labels], 0/1 or shares between.
    """
    shared = _fit_one(logits.ravel(), targets.ravel(), centre=(0.0, 0.0), spread=2.0)
    fits = [_fit_one(logits[:, i], targets[:, i], centre=shared, spread=PRIOR_SPREAD) for i in range(logits.shape[1])]
    return [(float(np.exp(log_scale)), bias) for log_scale, bias in fits]


def _fit_one(logits: Array, targets: Array, *, centre: tuple[float, float], spread: float) -> tuple[float, float]:
    def loss(parameters: Array) -> float:
        z = np.exp(parameters[0]) * logits + parameters[1]
        likelihood = np.logaddexp(0.0, z) - targets * z
        return float(likelihood.sum() + ((parameters - centre) ** 2).sum() / (2 * spread**2))

    best = minimize(loss, np.array(centre), method="L-BFGS-B", bounds=[(-3.0, 3.0), (-8.0, 8.0)])
    return float(best.x[0]), float(best.x[1])


def choose_thresholds(probabilities: Array, targets: Array) -> tuple[float, float]:
    """``absent_below`` and ``present_from`` of one label.

    ``present_from`` maximises F1, and where several do (or nearly: within half a point) the middle of them, kept within
    0.35–0.7 so that a few validation examples cannot push it to an extreme. ``absent_below`` is the highest threshold that
    leaves at most ``MISSED_SHARE`` of the positives below it, but at most half of ``present_from`` (what is nearly present is not
    absent), and not below 0.05, where only one text in twenty would reward a look.

    Args:
        probabilities: [examples], calibrated.
        targets: [examples].
    """
    positive = targets >= 0.5
    if not positive.any():
        return 0.2, 0.5
    candidates = np.linspace(0.05, 0.95, 181)
    f1 = np.array([_f1(probabilities >= c, positive) for c in candidates])
    good = candidates[f1 >= f1.max() - 0.005]
    present_from = float(np.clip(np.median(good), LEAST_PRESENT, 0.7))
    ordered = np.sort(probabilities[positive])
    may_miss = int(np.floor(MISSED_SHARE * len(ordered)))
    absent_below = float(min(ordered[may_miss], 0.5 * present_from))
    return max(absent_below, 0.05), present_from


def one_threshold(probabilities: Array, targets: Array, at_most: float = FALSE_ALERTS) -> float:
    """The lowest ``present_from`` for all of these labels with which few of the texts without any of them have one ``present``.

    Args:
        probabilities: [examples, labels], calibrated.
        targets: [examples, labels].
        at_most: their share.
    """
    free = ~(targets >= 0.5).any(axis=1)
    if not free.any():
        return 0.5
    highest = np.sort(probabilities[free].max(axis=1))[::-1]
    may_alert = int(np.floor(at_most * len(highest)))
    return float(np.clip(np.nextafter(highest[may_alert], 1.0), LEAST_PRESENT, 0.95))


def _f1(predicted: NDArray[np.bool_], positive: NDArray[np.bool_]) -> float:
    hits = float((predicted & positive).sum())
    return 2 * hits / max(float(predicted.sum() + positive.sum()), 1.0)


def fit_temperature(logits: Array, targets: NDArray[np.int64]) -> float:
    """Temperature of a softmax (Guo et al. 2017) by likelihood.

    Args:
        logits: [examples, classes].
        targets: [examples], class index; -100 is ignored.
    """
    known = targets >= 0
    if not known.any():
        return 1.0
    logits, targets = logits[known], targets[known]

    def loss(log_temperature: Array) -> float:
        z = logits / np.exp(log_temperature[0])
        z = z - z.max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]).sum() + log_temperature[0] ** 2 / 2)

    return float(np.exp(minimize(loss, np.zeros(1), method="L-BFGS-B", bounds=[(-2.0, 2.0)]).x[0]))


def fit_calibration(
    labels: tuple[str, ...],
    logits: Array,
    targets: Array,
    document_type_logits: Array | None = None,
    document_types: NDArray[np.int64] | None = None,
    evidence_threshold: float = 0.5,
    indicators: int = 0,
) -> Calibration:
    """Fit everything on the validation split; shapes as in ``fit_platt`` and ``fit_temperature``. The first ``indicators`` of the
    labels are those that alert."""
    fits = fit_platt(logits, targets)
    probabilities = np.stack([expit(scale * logits[:, i] + bias) for i, (scale, bias) in enumerate(fits)], axis=1)
    thresholds = np.array([choose_thresholds(probabilities[:, i], targets[:, i]) for i in range(len(labels))])
    if indicators:
        thresholds[:indicators, 1] = one_threshold(probabilities[:, :indicators], targets[:, :indicators])
        thresholds[:indicators, 0] = np.minimum(thresholds[:indicators, 0], 0.5 * thresholds[:indicators, 1])
    fitted = {
        label: LabelCalibration(scale, bias, float(absent_below), float(present_from))
        for label, (scale, bias), (absent_below, present_from) in zip(labels, fits, thresholds, strict=True)
    }
    temperature = 1.0
    if document_type_logits is not None and document_types is not None:
        temperature = fit_temperature(document_type_logits, document_types)
    return Calibration(fitted, temperature, evidence_threshold)
