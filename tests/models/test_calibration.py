import numpy as np
import pytest
from scipy.special import expit

from models.calibration import (
    Calibration,
    choose_thresholds,
    fit_calibration,
    fit_platt,
    fit_temperature,
    one_threshold,
    uncalibrated,
)
from models.scores import Status

RNG = np.random.default_rng(3)


def drawn(scale: float, bias: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true probability is sigmoid(scale · logit + bias)."""
    logits = RNG.normal(0, 3, n)
    return logits, (RNG.random(n) < expit(scale * logits + bias)).astype(float)


def test_platt_finds_the_scale_and_bias_of_plenty_of_data() -> None:
    columns = [drawn(0.5, -1.0), drawn(0.7, -0.5)]
    fits = fit_platt(np.stack([z for z, _ in columns], 1), np.stack([y for _, y in columns], 1))
    assert fits[0] == pytest.approx((0.5, -1.0), abs=0.15)
    assert fits[1] == pytest.approx((0.7, -0.5), abs=0.15)


def test_a_label_with_few_examples_leans_on_the_others() -> None:
    plenty = [drawn(0.5, -1.0, 400) for _ in range(8)]
    logits = np.stack([z for z, _ in plenty], 1)
    targets = np.stack([y for _, y in plenty], 1)
    logits[:, 0], targets[:, 0] = RNG.normal(-4, 0.1, 400), 0.0  # no positive at all
    scale, bias = fit_platt(logits, targets)[0]
    assert 0.15 < scale < 1.5
    assert -4 < bias < 0


def test_calibration_makes_probabilities_mean_what_they_say() -> None:
    logits, targets = drawn(0.4, -1.0)
    ((scale, bias),) = fit_platt(logits[:, None], targets[:, None])
    p = expit(scale * logits + bias)
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (p >= low) & (p < low + 0.2)
        assert targets[inside].mean() == pytest.approx(p[inside].mean(), abs=0.06)
    assert abs(expit(logits).mean() - targets.mean()) > abs(p.mean() - targets.mean())


def test_thresholds_are_in_order_and_miss_few_positives() -> None:
    logits, targets = drawn(1.0, -1.0)
    p = expit(logits - 1.0)
    absent_below, present_from = choose_thresholds(p, targets)
    assert 0 < absent_below < present_from < 1
    assert (p[targets == 1] < absent_below).mean() <= 0.101


def test_one_threshold_lets_few_texts_without_an_indicator_alert() -> None:
    probabilities, targets = 0.8 * RNG.random((500, 3)), np.zeros((500, 3))
    targets[400:, 0] = 1.0
    threshold = one_threshold(probabilities, targets, at_most=0.04)
    alerts = (probabilities[:400] >= threshold).any(axis=1).mean()
    lower = (probabilities[:400] >= threshold - 0.01).any(axis=1).mean()
    assert alerts <= 0.04 < lower


def test_nothing_unlikely_is_present_however_few_alerts_there_are() -> None:
    assert one_threshold(np.full((50, 2), 0.1), np.zeros((50, 2))) == 0.35


def test_all_indicators_have_one_threshold_and_other_labels_their_own() -> None:
    columns = [drawn(0.6, -1.0, 600) for _ in range(3)]
    logits, targets = np.stack([z for z, _ in columns], 1), np.stack([y for _, y in columns], 1)
    labels = fit_calibration(("a", "b", "c"), logits, targets, indicators=2).labels
    assert labels["a"].present_from == labels["b"].present_from != labels["c"].present_from
    assert all(label.absent_below <= 0.5 * label.present_from for label in labels.values())


def test_a_label_without_positives_gets_careful_thresholds() -> None:
    assert choose_thresholds(np.full(10, 0.1), np.zeros(10)) == (0.2, 0.5)


def test_the_status_follows_the_two_thresholds() -> None:
    label = uncalibrated(("a",)).labels["a"]
    assert [label.status(p) for p in (0.29, 0.3, 0.49, 0.5)] == [
        Status.ABSENT,
        Status.UNCERTAIN,
        Status.UNCERTAIN,
        Status.PRESENT,
    ]


def test_temperature_softens_an_overconfident_classifier() -> None:
    truth = RNG.integers(0, 3, 600)
    said = np.where(RNG.random(600) < 0.7, truth, RNG.integers(0, 3, 600))
    assert fit_temperature(np.eye(3)[said] * 10.0, truth) > 2


def test_it_survives_json() -> None:
    logits, targets = drawn(0.5, -1.0, 200)
    calibration = fit_calibration(
        ("a",), logits[:, None], targets[:, None], np.zeros((200, 2)), np.zeros(200, dtype=np.int64), 0.4
    )
    assert Calibration.from_json(calibration.to_json()) == calibration


@pytest.mark.parametrize(
    "data", [{}, {"labels": 1}, {"labels": {"a": {"scale": 1}}, "document_type_temperature": 1, "evidence_threshold": 1}]
)
def test_a_broken_calibration_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Calibration.from_json(data)
