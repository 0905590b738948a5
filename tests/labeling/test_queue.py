from random import Random
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.queue import Candidate, Mixing, plan, uncertainty

ALL = ("random", "uncertainty", "diversity", "under_covered", "feedback_first")
NONE = dict.fromkeys(ALL, 0.0)


def only(*strategies: str) -> Mixing:
    return Mixing(**{**NONE, **dict.fromkeys(strategies, 1.0)})


def test_the_least_sure_come_first() -> None:
    ads = [Candidate(name, probabilities={"a": p, "b": 0.01}) for name, p in [("sure", 0.99), ("unsure", 0.5), ("half", 0.8)]]
    assert plan(ads, only("uncertainty"), Random(1)) == ["unsure", "half", "sure"]


def test_uncertainty_is_that_of_the_least_sure_label() -> None:
    assert uncertainty({"a": 0.5, "b": 0.0}) == 1.0
    assert uncertainty({"a": 1.0}) == uncertainty({}) == 0.0


def test_feedback_comes_in_order_of_arrival_and_what_no_strategy_wants_comes_last() -> None:
    ads = [Candidate("a"), Candidate("b", feedback=True), Candidate("c", feedback=True)]
    assert plan(ads, only("feedback_first"), Random(1)) == ["b", "c", "a"]


def test_diversity_takes_from_the_cluster_with_the_fewest_labelled() -> None:
    ads = [Candidate(f"{cluster}{i}", cluster=cluster) for cluster in range(3) for i in range(4)]
    order = plan(ads, only("diversity"), Random(1), labelled_of_cluster={0: 3, 1: 1})
    assert [ad[0] for ad in order[:3]] == ["2", "2", "1"] or [ad[0] for ad in order[:3]] == ["2", "1", "2"]
    assert "0" not in {ad[0] for ad in order[:5]}


def test_a_label_that_is_rare_in_a_language_comes_first_until_it_is_covered() -> None:
    dutch = [Candidate(f"nl{i}", "nl", probabilities={"debt": 0.9}) for i in range(3)]
    polish = [Candidate(f"pl{i}", "pl", probabilities={"debt": 0.6}) for i in range(3)]
    order = plan([*dutch, *polish], only("under_covered"), Random(1), coverage={("debt", "nl"): 1.0})
    assert [ad[:2] for ad in order[:4]] == ["pl", "nl", "pl", "nl"]


def test_one_of_near_duplicates_is_enough() -> None:
    ads = [Candidate(f"copy{i}", group="g", feedback=i == 2) for i in range(40)] + [Candidate("other")]
    assert sorted(plan(ads, only("feedback_first"), Random(1))) == ["copy2", "other"]


@settings(deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.integers())
def test_each_strategy_has_its_share_at_every_place(diversity: float, feedback: float, seed: int) -> None:
    """Each ad suits one strategy alone, so the plan shows whose turn it was."""
    ads = [Candidate(f"diversity-{i}", cluster=i) for i in range(40)] + [
        Candidate(f"feedback-{i}", feedback=True) for i in range(40)
    ]
    mixing = Mixing(**{**NONE, "diversity": diversity, "feedback_first": feedback})
    order = plan(ads, mixing, Random(seed), limit=40)
    for place in range(1, 41):
        had = sum(ad.startswith("diversity") for ad in order[:place])
        assert abs(had - place * diversity / (diversity + feedback)) <= 1 + 1e-9


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        ad_id=st.uuids().map(str),
        language=st.sampled_from(["nl", "bg"]),
        group=st.sampled_from([None, "g1", "g2"]),
        probabilities=st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)),
        cluster=st.sampled_from([None, 0, 1]),
        feedback=st.booleans(),
    ),
    max_size=20,
    unique_by=lambda c: c.ad_id,
)


@settings(deadline=None)
@given(CANDIDATES, st.lists(st.sampled_from(ALL), max_size=3), st.integers())
def test_a_plan_holds_each_group_once_and_is_the_same_again(ads: list[Candidate], strategies: list[str], seed: int) -> None:
    mixing = only(*strategies)
    order = plan(ads, mixing, Random(seed))
    group_of = {c.ad_id: c.group or c.ad_id for c in ads}
    groups = [group_of[ad] for ad in order]
    assert len(groups) == len(set(groups))
    assert set(groups) == set(group_of.values())
    assert plan(ads, mixing, Random(seed)) == order


def test_planning_takes_time_in_proportion_to_the_ads() -> None:
    rng = Random(3)
    probabilities = [{f"label{i}": rng.random() ** 4 for i in range(17)} for _ in range(100)]

    def seconds(count: int) -> float:
        ads = [
            Candidate(str(i), rng.choice(["nl", "bg"]), probabilities=probabilities[i % 100], cluster=i % 200)
            for i in range(count)
        ]
        start = thread_time()
        assert len(plan(ads, Mixing(), rng, limit=count // 5)) == count // 5
        return thread_time() - start

    assert seconds(4_000) < 24 * seconds(500), "eight times the ads; a square would be 64"


def test_shares_are_not_negative() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Mixing(random=-1)
