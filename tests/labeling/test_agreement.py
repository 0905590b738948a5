from datetime import UTC, datetime, timedelta

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.agreement import alpha, alpha_by_language, document_type_alpha, drift, nominal_alphas, span_f1
from labeling.annotation import Annotation
from models.example import Span

LABEL = "debt_or_fees"


def opinions(rows: list[str], label: str = LABEL) -> list[Annotation]:
    """A row an annotator, a character an ad: 1 present, 0 absent, . not judged."""
    return [
        Annotation(ad_id=f"ad-{ad}", annotator=f"annotator-{number}", labels={label: value == "1"})
        for number, row in enumerate(rows)
        for ad, value in enumerate(row)
        if value != "."
    ]


def types(rows: list[str]) -> list[Annotation]:
    return [
        Annotation(ad_id=f"ad-{ad}", annotator=f"annotator-{number}", document_type=value)
        for number, row in enumerate(rows)
        for ad, value in enumerate(row)
        if value != "."
    ]


def test_the_binary_example_of_krippendorff_2011() -> None:
    """Section A, Meg and Owen on ten articles."""
    agreement = alpha(opinions(["0100000010", "1110010000"]), LABEL)
    assert agreement.alpha == pytest.approx(0.095, abs=0.0005)
    assert (agreement.ads, agreement.annotators) == (10, 2)


def test_the_nominal_example_of_krippendorff_2011() -> None:
    """Section B, Ben and Gerry on twelve articles."""
    assert document_type_alpha(types(["aabbddccceda", "babbdbcccedd"])).alpha == pytest.approx(0.692, abs=0.0005)


def test_the_example_with_missing_data_of_krippendorff_2011() -> None:
    """Section C, four observers on twelve units, the last of them read once and not counted."""
    rows = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    agreement = document_type_alpha(types(rows))
    assert agreement.alpha == pytest.approx(0.743, abs=0.0005)
    assert agreement.ads == 11


def test_who_could_not_decide_or_opted_out_does_not_count() -> None:
    judged = opinions(["0100000010", "1110010000"])
    more = [
        Annotation(ad_id="ad-0", annotator="third", labels={LABEL: True}, cannot_decide="cut off"),
        Annotation(ad_id="ad-1", annotator="third", labels={"absent_limits": True}),
    ]
    assert alpha([*judged, *more], LABEL) == alpha(judged, LABEL)


@pytest.mark.parametrize("rows", [["", ""], ["01.", "..1"], ["0000", "0000"]])
def test_there_is_no_alpha_without_overlap_or_without_two_values(rows: list[str]) -> None:
    agreement = alpha(opinions(rows), LABEL)
    assert (agreement.alpha, agreement.low, agreement.high) == (None, None, None)


def test_perfect_agreement_is_one_and_its_interval_too() -> None:
    agreement = alpha(opinions(["0101", "0101", "0101"]), LABEL)
    assert (agreement.alpha, agreement.low, agreement.high) == (1.0, 1.0, 1.0)


def test_the_interval_is_that_of_a_bootstrap_that_draws_ads_one_by_one() -> None:
    rng = np.random.default_rng(7)
    truth = rng.random(200) < 0.3
    rows = ["".join("1" if t != (rng.random() < 0.1) else "0" for t in truth) for _ in range(3)]
    agreement = alpha(opinions(rows), LABEL)
    ads = np.array([list(map(int, row)) for row in rows])
    drawn = [ads[:, rng.integers(0, 200, 200)] for _ in range(1000)]
    slow = np.quantile([krippendorff.alpha(sample, level_of_measurement="nominal") for sample in drawn], [0.025, 0.975])
    assert agreement.low == pytest.approx(slow[0], abs=0.03)
    assert agreement.high == pytest.approx(slow[1], abs=0.03)
    assert agreement.low < agreement.alpha < agreement.high


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)).filter(lambda c: sum(c) > 1), min_size=2, max_size=12
    )
)
def test_the_many_at_once_form_is_the_librarys_alpha(counts: list[tuple[int, int, int]]) -> None:
    table = np.array(counts)
    ours = nominal_alphas(table, np.ones((1, len(counts)), dtype=np.int64))[0]
    if (table.sum(axis=0) > 0).sum() < 2:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))


def test_alpha_of_each_language() -> None:
    both = opinions(["0101" + "0101", "0101" + "1010"])
    languages = {f"ad-{i}": "nl" if i < 4 else "bg" for i in range(8)}
    of_language = alpha_by_language(both, LABEL, languages)
    assert list(of_language) == ["bg", "nl"]
    assert of_language["nl"].alpha == 1.0
    assert of_language["bg"].alpha is not None
    assert of_language["bg"].alpha < 0


def evidence(annotator: str, *spans: tuple[int, int]) -> Annotation:
    return Annotation(
        ad_id="ad-1", annotator=annotator, labels={LABEL: True}, spans=tuple(Span(start=s, end=e, label=LABEL) for s, e in spans)
    )


def test_token_f1_of_evidence() -> None:
    """One marks "pay back the fee", another "the fee first" by half a word: two tokens of 4 and 3 are shared."""
    text = "You pay back the fee first."
    agreement = span_f1([evidence("a", (4, 20)), evidence("b", (13, 23))], {"ad-1": text})
    assert agreement[LABEL].f1 == pytest.approx(2 * 2 / (4 + 3))
    assert agreement[LABEL].pairs == 1


def test_evidence_of_one_annotator_is_no_agreement_and_no_disagreement() -> None:
    absent = Annotation(ad_id="ad-1", annotator="b", labels={LABEL: False})
    agreement = span_f1([evidence("a", (4, 20)), absent], {"ad-1": "You pay back the fee first."})
    assert (agreement[LABEL].f1, agreement[LABEL].pairs) == (None, 0)


def test_drift_shows_who_leaves_the_others() -> None:
    start = datetime(2026, 11, 2, 9, tzinfo=UTC)

    def said(annotator: str, day: int, ad: str, present: bool) -> Annotation:
        saved = start + timedelta(days=day)
        return Annotation(ad_id=ad, annotator=annotator, labels={LABEL: present}, seconds=10 + day, saved_at=saved)

    first = [said(who, 0, "ad-1", True) for who in "abc"]
    second = [said("a", 8, "ad-2", False), said("b", 8, "ad-2", True), said("c", 9, "ad-2", True)]
    points = drift([*first, *second])
    assert [(p.annotator, p.start, p.agreement) for p in points if p.annotator == "a"] == [
        ("a", start, 1.0),
        ("a", start + timedelta(days=7), 0.0),
    ]
    last = points[-1]
    assert (last.annotator, last.ads, last.agreement, last.present, last.seconds) == ("c", 1, None, 1.0, 19)
    assert drift([]) == []
