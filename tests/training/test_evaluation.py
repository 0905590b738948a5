import evaluate
import numpy as np
import pytest

from models.example import LabelledExample, Span
from models.taxonomy import packaged_taxonomy
from training.evaluation import (
    Predictions,
    bootstrap_f1,
    calibration_error,
    evidence_f1,
    false_alert_share,
    multi_label_scores,
    recall_at_precision,
)
from training.trainer import METRIC_FOLDER

TAXONOMY = packaged_taxonomy()
LABELS = len(TAXONOMY.label_ids)


def predictions(truth: np.ndarray, probabilities: np.ndarray, scenarios: list[str] | None = None) -> Predictions:
    examples = [
        LabelledExample(text="a text", labels=[], lang="nl", scenario=scenarios[i] if scenarios else str(i))
        for i in range(len(truth))
    ]
    half = np.full(LABELS, 0.5)
    return Predictions(TAXONOMY, examples, truth, probabilities, half, half - 0.2)


def one_label(truth: list[int], probabilities: list[float]) -> tuple[np.ndarray, np.ndarray]:
    t, p = np.zeros((len(truth), LABELS)), np.zeros((len(truth), LABELS))
    t[:, 0], p[:, 0] = truth, probabilities
    return t, p


def test_the_metric_module_loads_without_a_hub_and_agrees_with_hand_counts() -> None:
    metric = evaluate.load(METRIC_FOLDER)
    scores = metric.compute(
        predictions=[[0.9, 0.1], [0.6, 0.2], [0.2, 0.3], [0.4, 0.1]],
        references=[[1, 0], [0, 0], [1, 0], [0, 0]],
        thresholds=[0.5, 0.5],
        labels=["a", "b"],
    )
    assert scores["labels"]["a"] == pytest.approx(
        {"precision": 0.5, "recall": 0.5, "f1": 0.5, "average_precision": (1 + 2 / 4) / 2, "support": 2}
    )
    assert scores["labels"]["b"]["average_precision"] is None
    assert scores["macro_f1"] == pytest.approx(0.5)


def test_means_are_over_the_indicators_alone() -> None:
    truth, p = one_label([1, 0], [0.9, 0.1])
    truth[:, -1], p[:, -1] = [1, 1], [0.0, 0.0]  # a counter-indicator that is always missed
    assert multi_label_scores(predictions(truth, p))["macro_f1"] == 1.0


def test_the_interval_holds_the_value_and_narrows_with_more_scenarios() -> None:
    rng = np.random.default_rng(0)

    def width(n: int) -> float:
        truth = (rng.random((n, LABELS)) < 0.3).astype(float)
        p = np.where(rng.random((n, LABELS)) < 0.8, truth, 1 - truth)
        found = predictions(truth, p)
        low, high = bootstrap_f1(found)["macro_f1"]
        assert low <= multi_label_scores(found)["macro_f1"] <= high
        return float(high - low)

    assert width(800) < width(60)


def test_texts_of_one_scenario_are_drawn_together() -> None:
    truth, p = one_label([1] * 40, ([0.9, 0.9] * 6 + [0.1, 0.1] * 4) * 2)
    apart = bootstrap_f1(predictions(truth, p))["labels"][TAXONOMY.label_ids[0]]
    together = bootstrap_f1(predictions(truth, p, [str(i // 2) for i in range(40)]))["labels"][TAXONOMY.label_ids[0]]
    assert together[1] - together[0] > apart[1] - apart[0]


def test_calibration_error_is_small_for_honest_probabilities_and_large_for_others() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    truth = (rng.random(20_000) < p).astype(float)
    assert calibration_error(p, truth) < 0.02
    assert calibration_error(p**3, truth) > 0.2


def test_recall_at_precision() -> None:
    p, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1.0, 0.0, 1.0])
    assert recall_at_precision(p, truth, 0.9) == pytest.approx(2 / 3)
    assert recall_at_precision(p, np.zeros(4), 0.9) is None
    assert recall_at_precision(p, np.array([0.0, 1.0, 0.0, 0.0]), 0.9) == 0.0


def test_a_false_alert_counts_texts_not_labels() -> None:
    truth, p = np.zeros((4, LABELS)), np.zeros((4, LABELS))
    p[0, :3] = 0.9
    p[1, -1] = 0.9  # a counter-indicator is no alert
    truth[2, 0] = p[2, 0] = 1.0
    assert false_alert_share(predictions(truth, p)) == pytest.approx(1 / 3)


def test_evidence_f1_compares_words(small_run) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from models.runtime import Scorer

    scorer = Scorer.of_bundle(small_run.result.bundle, small_run.settings)
    text = "We keep the passport."
    (raw,) = scorer.runner.run([text])
    (window,) = raw.windows
    evidence = np.zeros_like(raw.evidence[0])
    on = [i for i, s in enumerate(window.starts) if s >= text.index("keep")]
    evidence[on, 0] = 1.0
    label = TAXONOMY.label_ids[0]
    example = LabelledExample(text=text, labels=[label], spans=[Span(start=0, end=7, label=label)])
    truth = np.zeros((1, LABELS))
    truth[0, 0] = 1.0
    p = replace(predictions(truth, truth), examples=[example])
    # gold: We keep; found: keep the passport
    assert evidence_f1(p, [replace(raw, evidence=[evidence])], 0.5) == pytest.approx(2 * 1 / (2 + 3))
