"""Decisions and figures, held against scikit-learn."""

from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import accuracy_score, f1_score

from training.benchmark.decisions import Decisions, choose_thresholds
from training.benchmark.draws import Bools
from training.benchmark.figures import Outcome, bootstrap, interval, overall, per_label, per_language
from training.benchmark.plan import Plan
from training.benchmark.settings import BenchmarkSettings
from training.benchmark.task import Task

MATRICES = arrays.arrays(np.bool_, st.tuples(st.just(2), st.integers(1, 12), st.integers(2, 5)))


NAMES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)
"""Of single-label texts: which of five labels is true, and which was given; not all of them need to be there."""


def assert_as_scikit_learn_has_them(found: dict[str, float], truth: Any, decided: Any) -> None:
    for average in ("macro", "micro", "weighted"):
        theirs = f1_score(truth, decided, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(theirs, abs=1e-6)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, decided))


@settings(deadline=None)  # scikit-learn is slow the first time
@given(MATRICES)
@example(np.array([[[1, 0, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 0]]], dtype=bool))  # two labels are nowhere
def test_figures_of_several_labels_a_text_are_those_of_scikit_learn(pair: Bools) -> None:
    truth, decided = pair
    assert_as_scikit_learn_has_them(overall(Outcome(decided, truth, single=False)), truth, decided)


@settings(deadline=None)
@given(NAMES)
@example([(0, 0), (0, 2)])  # two labels are nowhere, one is only given
def test_figures_of_one_label_a_text_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, decided = np.array(pairs).T
    of_label = np.eye(5, dtype=bool)
    assert_as_scikit_learn_has_them(overall(Outcome(of_label[decided], of_label[truth], single=True)), truth, decided)


def test_figures_by_label_and_language() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)
    decided = np.array([[1, 0], [0, 1], [0, 1], [0, 1]], dtype=bool)
    labels = per_label(Outcome(decided, truth, single=True), ("a", "b"))
    assert labels["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    languages = per_language([Outcome(decided, truth, single=True)], ["en", "nl", "en", "nl"])
    assert languages["en"]["accuracy"] == 1.0
    assert languages["nl"]["accuracy"] == 0.5


def test_intervals_hold_the_value_and_narrow_with_more_texts() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for texts in (50, 800):
        truth = np.eye(3, dtype=bool)[rng.integers(0, 3, texts)]
        decided = np.where(rng.random((texts, 1)) < 0.8, truth, np.eye(3, dtype=bool)[rng.integers(0, 3, texts)])
        low, high = interval(bootstrap([Outcome(decided, truth, single=True)])["accuracy"])
        assert low < overall(Outcome(decided, truth, single=True))["accuracy"] < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


COMMON, RARE = 10, 20
"""Labels with 40 texts, and labels with one."""


def with_rare_labels(right: Bools) -> Outcome:
    """Common labels are always right, a rare one's text where ``right`` [rare labels] says so: else a common label is given."""
    truth = np.concatenate([np.repeat(np.arange(COMMON), 40), COMMON + np.arange(RARE)])
    decided = np.concatenate([truth[: 40 * COMMON], np.where(right, COMMON + np.arange(RARE), np.arange(RARE) % COMMON)])
    of_label = np.eye(COMMON + RARE, dtype=bool)
    return Outcome(of_label[decided], of_label[truth], single=True)


def test_rare_labels_that_are_wrong_do_not_drop_out_of_the_draws() -> None:
    outcome = with_rare_labels(np.zeros(RARE, dtype=bool))
    drawn = bootstrap([outcome])["macro_f1"]
    assert overall(outcome)["macro_f1"] < 1 / 3
    assert drawn.mean() == pytest.approx(overall(outcome)["macro_f1"], abs=0.005)


def test_the_interval_of_macro_f1_holds_what_other_test_splits_give_though_labels_have_one_text() -> None:
    rng = np.random.default_rng(5)
    splits = [with_rare_labels(rng.random(RARE) < 0.6) for _ in range(400)]
    of_all = np.mean([overall(outcome)["macro_f1"] for outcome in splits])
    intervals = [interval(bootstrap([outcome], draws=300)["macro_f1"]) for outcome in splits[:60]]
    assert np.mean([low <= of_all <= high for low, high in intervals]) > 0.88
    assert np.mean([high - low for low, high in intervals]) < 1.2 * 3.92 * np.std([overall(o)["macro_f1"] for o in splits])


def test_a_label_that_is_nowhere_in_the_test_split_and_texts_without_labels_are_drawn_too() -> None:
    truth = np.zeros((30, 4), dtype=bool)
    truth[:10, 0] = truth[5:12, 1] = truth[0, 2] = True
    outcome = Outcome(truth, truth, single=False)
    assert overall(outcome)["macro_f1"] == pytest.approx(0.75)
    assert bootstrap([outcome])["macro_f1"] == pytest.approx(0.75), "no label of the three is ever lost"
    nothing = Outcome(np.zeros_like(truth), np.zeros_like(truth), single=False)
    assert interval(bootstrap([nothing], draws=10)["macro_f1"]) == [0.0, 0.0]


def test_a_thousand_draws_of_many_texts_and_labels_take_seconds() -> None:
    truth = np.eye(52, dtype=bool)[np.random.default_rng(1).integers(0, 52, 2500)]
    begin = process_time()
    bootstrap([Outcome(truth, truth, single=True)])
    assert process_time() - begin < 15


def test_of_several_seeds_the_mean_is_drawn_and_the_same_texts_for_every_system() -> None:
    truth = np.eye(2, dtype=bool)[np.arange(40) % 2]
    right, wrong = Outcome(truth, truth, single=True), Outcome(~truth, truth, single=True)
    assert bootstrap([right, wrong])["accuracy"] == pytest.approx(0.5)
    one = Outcome(np.where(np.arange(40)[:, None] < 20, truth, ~truth), truth, single=True)
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
