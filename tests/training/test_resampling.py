"""The paired bootstrap, against what is known without it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from training.resampling import Resampling, difference, mean_over, ratio

RNG = np.random.default_rng(3)


def test_row_0_is_the_texts_themselves() -> None:
    values = RNG.random((50, 3, 2))
    assert Resampling([f"g{i // 3}" for i in range(50)]).sums(values)[0] == pytest.approx(values.sum(axis=0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=3, max_size=40, unique_by=lambda pair: pair[0]))
def test_average_precision_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, truth = np.array([s for s, _ in pairs]), np.array([t for _, t in pairs])
    found = Resampling([str(i) for i in range(len(pairs))], draws=3).average_precision(scores, truth)[0]
    if truth.any():
        assert found == pytest.approx(average_precision_score(truth, scores))
    else:
        assert np.isnan(found)


def test_a_drawn_average_precision_is_that_of_the_drawn_texts() -> None:
    scores, truth = RNG.permutation(30) / 30.0, RNG.random(30) < 0.4
    texts = Resampling([str(i) for i in range(30)], draws=5)
    for draw in range(1, 6):
        times = texts.sums(np.eye(30))[draw].astype(int)
        expected = average_precision_score(np.repeat(truth, times), np.repeat(scores, times))
        # equal scores are one threshold to scikit-learn; here copies of a text follow one another at the same precision
        assert texts.average_precision(scores, truth)[draw] == pytest.approx(expected)


def test_texts_of_one_scenario_are_drawn_together() -> None:
    texts = Resampling(["a"] * 10 + ["b"] * 10)
    first, second = texts.sums(np.repeat(np.eye(2), 10, axis=0))[1:].T
    assert set(first / 10) <= {0.0, 1.0, 2.0}
    assert (first + second == 20).all()


def test_what_is_surely_better_surely_is_and_what_is_the_same_is_not() -> None:
    texts = Resampling([str(i) for i in range(400)])
    worse, better = RNG.random(400) < 0.6, RNG.random(400) < 0.9
    everything = np.ones(400)
    a, b = texts.share(worse, everything), texts.share(better, everything)
    found = difference(a, b, higher_is_better=True)
    assert found.interval is not None
    assert found.difference is not None
    assert found.interval[0] > 0.2
    assert found.interval[1] < 0.4
    assert found.p_better == 1.0
    assert difference(a, b, higher_is_better=False).p_better == 0.0
    same = difference(a, a, higher_is_better=True)
    assert (same.difference, same.interval, same.p_better) == (0.0, (0.0, 0.0), 0.5)


def test_pairing_makes_the_interval_narrower() -> None:
    hard = np.arange(300) % 2 == 0
    a, b = ~hard, ~hard | (RNG.random(300) < 0.1)
    texts, others = (Resampling([str(i) for i in range(300)], seed=seed) for seed in (0, 1))
    everything = np.ones(300)
    paired = difference(texts.share(a, everything), texts.share(b, everything), higher_is_better=True)
    unpaired = difference(texts.share(a, everything), others.share(b, everything), higher_is_better=True)
    assert paired.interval is not None
    assert unpaired.interval is not None
    assert 2 * (paired.interval[1] - paired.interval[0]) < unpaired.interval[1] - unpaired.interval[0]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        shared = rng.random(150)
        a, b = shared < 0.6, shared + rng.normal(0, 0.15, 150) < 0.6
        texts = Resampling([str(i) for i in range(150)], draws=300)
        found = difference(texts.share(a, np.ones(150)), texts.share(b, np.ones(150)), higher_is_better=True)
        assert found.interval is not None
        # for b the chance is that of uniform plus noise below 0.6, which by symmetry around 0.5 is a little less than 0.6
        covered += found.interval[0] <= TRUE_DIFFERENCE <= found.interval[1]
    assert 0.9 <= covered / 200 <= 0.99


def _chance_with_noise() -> float:
    points, noise = np.meshgrid(np.linspace(0.0005, 0.9995, 1000), np.random.default_rng(0).normal(0, 0.15, 2000))
    return float((points + noise < 0.6).mean())


TRUE_DIFFERENCE = _chance_with_noise() - 0.6


def test_nothing_to_look_at_gives_no_difference() -> None:
    texts = Resampling(["x", "y"])
    nothing = texts.share(np.zeros(2), np.zeros(2))
    found = difference(nothing, nothing, higher_is_better=True)
    assert (found.a, found.difference, found.interval, found.p_better) == (None, None, None, None)
    assert np.isnan(mean_over(np.full((3, 2), np.nan))).all()
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0])))[0]
