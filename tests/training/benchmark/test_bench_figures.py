"""Decisions and figures, held against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, f1_score

from training.benchmark.decisions import Decisions, choose_thresholds
from training.benchmark.figures import Outcome, bootstrap, interval, overall, per_label, per_language
from training.benchmark.plan import Plan
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.task import Task

MATRICES = arrays.arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 12), st.integers(2, 5)))


@settings(deadline=None)  # scikit-learn is slow the first time
@given(MATRICES)
def test_figures_are_those_of_scikit_learn(pair: np.ndarray) -> None:
    truth, decided = pair
    found = overall(Outcome(decided, truth))
    seen = np.flatnonzero(truth.any(0) | decided.any(0))
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, decided))
    assert found["micro_f1"] == pytest.approx(f1_score(truth, decided, average="micro", zero_division=0), abs=1e-6)
    assert found["weighted_f1"] == pytest.approx(f1_score(truth, decided, average="weighted", zero_division=0), abs=1e-6)
    if len(seen):
        by_label = f1_score(truth, decided, average=None, zero_division=0)
        assert found["macro_f1"] == pytest.approx(by_label[seen].mean(), abs=1e-6)


def test_figures_by_label_and_language() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)
    decided = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], dtype=bool)
    labels = per_label(Outcome(decided, truth), ("a", "b"))
    assert labels["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    languages = per_language([Outcome(decided, truth)], ["en", "nl", "en", "nl"])
    assert languages["en"]["accuracy"] == 1.0
    assert languages["nl"]["accuracy"] == 0.5


def test_intervals_hold_the_value_and_narrow_with_more_texts() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for texts in (50, 800):
        truth = np.eye(3, dtype=bool)[rng.integers(0, 3, texts)]
        decided = np.where(rng.random((texts, 1)) < 0.8, truth, np.eye(3, dtype=bool)[rng.integers(0, 3, texts)])
        low, high = interval(bootstrap([Outcome(decided, truth)])["accuracy"])
        assert low < overall(Outcome(decided, truth))["accuracy"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_of_several_seeds_the_mean_is_drawn_and_the_same_texts_for_every_system() -> None:
    truth = np.eye(2, dtype=bool)[np.arange(40) % 2]
    right, wrong = Outcome(truth, truth), Outcome(~truth, truth)
    assert bootstrap([right, wrong])["accuracy"] == pytest.approx(0.5)
    one = Outcome(np.where(np.arange(40)[:, None] < 20, truth, ~truth), truth)
    assert np.array_equal(bootstrap([one])["accuracy"], bootstrap([one])["accuracy"])


def test_a_single_label_task_gives_the_likeliest_label() -> None:
    task = Task(True, ("a", "b", "c"), False)
    logits = np.array([[0.1, 3.0, 1.0], [2.0, -1.0, 1.9]], dtype=np.float32)
    decisions = Decisions.fitted(task, logits, np.eye(3, dtype=bool)[:2])
    assert decisions.decide(logits).argmax(1).tolist() == [1, 0]
    assert decisions.decide(logits).sum() == 2
    assert decisions.probabilities(logits).sum(1) == pytest.approx(1.0)


def test_thresholds_follow_a_label_with_many_positives_and_the_rest_where_it_is_rare() -> None:
    rng = np.random.default_rng(2)
    truth = np.zeros((2000, 3), dtype=bool)
    truth[:, 0] = rng.random(2000) < 0.4
    truth[:, 1] = rng.random(2000) < 0.4
    truth[0, 2] = True
    probabilities = np.clip(np.where(truth, 0.75, 0.25) + rng.normal(0, 0.08, truth.shape), 0, 1)
    probabilities[:, 1] /= 3  # this label is never sure
    probabilities[0, 2] = 0.97
    often, unsure, rare = choose_thresholds(probabilities, truth)
    assert 0.4 < often < 0.6
    assert 0.1 < unsure < 0.25
    assert rare < 0.8, "its one positive alone would say anything up to 0.97"


def test_fewer_epochs_and_the_whole_encoder_for_more_texts() -> None:
    settings = BenchmarkSettings()
    plans = [Plan.of(texts, settings) for texts in (100, 1_000, 10_000, 100_000, 1_000_000)]
    assert [plan.epochs for plan in plans] == [20, 19, 6, 2, 1]
    assert plans[0].method == "lora"
    assert plans[3].method == "full"
    assert plans[3].encoder_lr < plans[0].encoder_lr
    assert Plan.of(1_000, BenchmarkSettings(epochs=3, method="full", encoder_lr=1e-5)) == Plan("full", 1e-5, 3, 63)


def test_a_budget_of_minutes_cuts_epochs_but_adds_none() -> None:
    plan = Plan.of(10_000, BenchmarkSettings())
    assert plan.within(10, seconds_per_epoch=300).epochs == pytest.approx(2)
    assert plan.within(10, seconds_per_epoch=300).steps == 1250
    assert plan.within(1000, seconds_per_epoch=300) == plan
    assert plan.within(None, seconds_per_epoch=300) == plan
