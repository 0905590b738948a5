"""What counts as drift: a test and a size, both."""

import numpy as np
import pytest
from numpy.random import Generator

from training.drift.comparisons import Comparison, Thresholds, compare, stability, tell_apart
from training.drift.sample import STATUSES, Sample, Scored
from training.errors import TrainingError

ALL = Thresholds()


def sample(
    rng: Generator,
    ads: int = 600,
    *,
    shift: float = 0.0,
    dutch: float = 0.5,
    length: float = 200.0,
    direction: float = 0.0,
    disguised: float = 0.05,
    unknown: float = 0.05,
    digest: str = "one",
) -> Sample:
    """Invented scores, languages, lengths and embeddings."""
    probabilities = 1 / (1 + np.exp(-(rng.normal(-2.0 + shift, 1.5, ads))))
    statuses = np.where(probabilities >= 0.5, STATUSES.index("present"), STATUSES.index("absent")).astype(np.int8)
    embeddings = rng.normal(size=(ads, 48))
    embeddings[:, 0] += direction
    return Sample(
        "sample.jsonl",
        digest,
        Scored(
            {"debt_or_fees": probabilities, "minor_age_cue": rng.beta(1, 20, ads)},
            {"debt_or_fees": statuses, "minor_age_cue": np.full(ads, STATUSES.index("absent"), dtype=np.int8)},
            rng.choice(["nl", "en"], ads, p=[dutch, 1 - dutch]).tolist(),
            rng.choice(["service_ad", "other"], ads).tolist(),
        ),
        characters=rng.normal(length, 60, ads),
        emoji_rate=np.where(rng.random(ads) < 0.2, rng.random(ads) / 50, 0.0),
        unknown_rate=(rng.random(ads) < unknown) / 50,
        disguised_rate=(rng.random(ads) < disguised) / 20,
        embeddings=embeddings,
    )


def drifted(found: list[Comparison]) -> set[str]:
    return {f"{one.group}/{one.name}" for one in found if one.drifted}


def test_two_samples_of_one_kind_have_not_drifted() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert drifted(compare(sample(rng), sample(rng), ALL)) == set()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"shift": 1.0}, {"scores/debt_or_fees", "present/debt_or_fees"}),
        ({"dutch": 0.8}, {"mix/languages"}),
        ({"length": 300.0}, {"texts/characters"}),
        ({"direction": 1.5}, {"texts/embeddings"}),
        ({"disguised": 0.3}, {"texts/disguised words per word"}),
        ({"unknown": 0.3}, {"texts/unknown tokens per token"}),
    ],
)
def test_a_planted_change_is_found_where_it_was_planted_and_nowhere_else(change: dict[str, float], where: set[str]) -> None:
    rng = np.random.default_rng(2)
    assert drifted(compare(sample(rng), sample(rng, **change), ALL)) == where  # type: ignore[arg-type]


def test_a_trifle_that_is_certain_is_not_drift_and_a_large_one_by_chance_is_not_either() -> None:
    rng = np.random.default_rng(3)
    found = {one.name: one for one in compare(sample(rng, 20_000), sample(rng, 20_000, length=206.0), ALL)}
    assert found["characters"].p_adjusted < 1e-6
    assert not found["characters"].drifted
    few = compare(sample(rng, 50), sample(rng, 50), Thresholds(alpha=0.01, psi=0.0, cohen_h=0.0, auc=0.5))
    assert drifted(few) == set()


def test_p_values_are_adjusted_for_how_many_there_are() -> None:
    rng = np.random.default_rng(4)
    found = compare(sample(rng), sample(rng), ALL)
    assert len(found) == 11
    assert all(one.p_adjusted >= one.p for one in found)


def test_a_label_asked_in_one_file_only_is_left_out() -> None:
    rng = np.random.default_rng(5)
    before, now = sample(rng), sample(rng)
    del now.scored.probabilities["minor_age_cue"]
    names = {(one.group, one.name) for one in compare(before, now, ALL)}
    assert ("scores", "minor_age_cue") not in names
    assert ("scores", "debt_or_fees") in names


def test_scores_of_two_models_are_not_compared() -> None:
    rng = np.random.default_rng(6)
    with pytest.raises(TrainingError, match="Score both with one model"):
        compare(sample(rng), sample(rng, digest="another"), ALL)


def test_the_stability_index_is_zero_for_equal_shares_and_symmetric() -> None:
    a, b = np.array([0] * 90 + [1] * 10), np.array([0] * 50 + [1] * 50)
    assert stability(a, a, 2) == 0
    assert stability(a, b, 2) == pytest.approx(stability(b, a, 2))
    assert stability(a, b, 2) > 0.25


def test_the_classifier_tells_only_what_differs_apart() -> None:
    rng = np.random.default_rng(7)
    same = [tell_apart(rng.normal(size=(100, 40)), rng.normal(size=(100, 40)), seed)[1] for seed in range(40)]
    assert np.mean(np.array(same) < 0.05) <= 0.15, "p-values of no difference are seldom small"
    auc, p = tell_apart(rng.normal(size=(200, 40)), rng.normal(0.5, size=(200, 40)), 0)
    assert auc > 0.9
    assert p < 1e-6
