"""The window over the last ads, and the index that compares it with the reference."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile import BINS, OTHER, Profile, TextFacts
from models.scores import AdScore, LabelScore, Language, Status
from serving.drift import DriftWindow, population_stability_index

COUNTS = st.lists(st.integers(0, 10_000), min_size=BINS, max_size=BINS)
FACTS = TextFacts(characters=100, emoji=1, tokens=20, unknown=2)
PROFILE = Profile(
    texts=1000,
    scores={"debt_or_fees": (900, *[0] * 8, 100), "minor_age_cue": (1000, *[0] * 9)},
    unknown_token_rate=0.1,
    emoji_rate=0.01,
    mean_characters=100.0,
    languages={"en": 0.4, "nl": 0.5, OTHER: 0.1},
)


def ad(probability: float, language: str = "nl", label: str = "debt_or_fees") -> AdScore:
    return AdScore(Language(language, 1.0, True), "other", 1.0, {label: LabelScore(probability, Status.ABSENT)}, {})


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_never_negative_and_nothing_between_equals(one: list[int], other: list[int]) -> None:
    assert population_stability_index(one, one) == 0
    there, back = population_stability_index(one, other), population_stability_index(other, one)
    assert there == pytest.approx(back)
    assert 0 <= there < math.inf


def test_the_index_is_that_of_the_book() -> None:
    """Two bins at 50:50 that become 60:40, by hand; the half that is added vanishes among so many."""
    halves, shifted = [5_000_000, 5_000_000, *[0] * 8], [6_000_000, 4_000_000, *[0] * 8]
    by_hand = 0.1 * math.log(0.6 / 0.5) - 0.1 * math.log(0.4 / 0.5)
    assert population_stability_index(halves, shifted) == pytest.approx(by_hand, abs=1e-5)


def test_ads_like_the_reference_show_no_drift_and_others_do() -> None:
    alike, shifted = DriftWindow(PROFILE), DriftWindow(PROFILE)
    for i in range(1000):
        alike.add(ad(0.95 if i % 10 == 0 else 0.05), FACTS)
        shifted.add(ad(0.95 if i % 2 == 0 else 0.05), FACTS)
    assert alike.drift().psi["debt_or_fees"] < 0.001
    assert shifted.drift().psi["debt_or_fees"] > 0.5


def test_the_window_forgets_the_oldest() -> None:
    window = DriftWindow(PROFILE, size=10)
    for probability in [0.05] * 25 + [0.95] * 10:
        window.add(ad(probability), FACTS)
    fresh = DriftWindow(PROFILE, size=10)
    for _ in range(10):
        fresh.add(ad(0.95), FACTS)
    assert window.drift() == fresh.drift()
    assert window.drift().ads == 10


def test_an_indicator_is_judged_by_the_ads_it_was_asked_of() -> None:
    window = DriftWindow(PROFILE)
    for _ in range(50):
        window.add(ad(0.95), FACTS)
    assert set(window.drift().psi) == {"debt_or_fees"}
    before = window.drift().psi["debt_or_fees"]
    for _ in range(50):
        window.add(ad(0.05, label="minor_age_cue"), FACTS)
    assert window.drift().psi["debt_or_fees"] == before
    assert window.drift().ads == 100


def test_rates_are_of_all_tokens_and_characters_and_unknown_languages_are_other() -> None:
    window = DriftWindow(PROFILE)
    assert window.drift().unknown_token_rate == 0, "no ads yet"
    window.add(ad(0.5), TextFacts(characters=10, emoji=0, tokens=10, unknown=0))
    window.add(ad(0.5, "sw"), TextFacts(characters=30, emoji=4, tokens=30, unknown=10))
    drift = window.drift()
    assert (drift.unknown_token_rate, drift.emoji_rate, drift.mean_characters) == (0.25, 0.1, 20)
    assert drift.languages == {"en": 0, "nl": 0.5, OTHER: 0.5}
