import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.annotation import Annotation
from labeling.consensus import consensus
from labeling.errors import AnnotationError
from models.example import Span


def opinion(annotator: str, labels: str, *spans: tuple[int, int, str], **more: object) -> Annotation:
    """``labels``: a letter a label, upper case present, lower case absent."""
    return Annotation.model_validate(
        {
            "ad_id": "ad-1",
            "annotator": annotator,
            "labels": {c.lower(): c.isupper() for c in labels},
            "spans": [Span(start=s, end=e, label=label) for s, e, label in spans],
            **more,
        }
    )


def test_the_majority_decides_and_the_share_stays_known() -> None:
    agreed = consensus([opinion("1", "Ab"), opinion("2", "Ab"), opinion("3", "ab")])
    assert agreed.labels == {"a": True, "b": False}
    assert agreed.shares == {"a": pytest.approx(2 / 3), "b": 0}
    assert agreed.disputed == ("a",)
    assert not agreed.settled


def test_a_tie_is_no_label() -> None:
    agreed = consensus([opinion("1", "A"), opinion("2", "a")])
    assert agreed.labels == {}
    assert agreed.shares == {"a": 0.5}
    assert agreed.disputed == ("a",)


def test_who_opted_out_of_a_label_has_no_vote_on_it() -> None:
    agreed = consensus([opinion("1", "Ab"), opinion("2", "b")])
    assert agreed.labels == {"a": True, "b": False}
    assert agreed.settled


def test_who_could_not_decide_has_no_vote_and_the_ad_is_not_settled() -> None:
    agreed = consensus([opinion("1", "A"), opinion("2", "a", cannot_decide="cut off")])
    assert agreed.labels == {"a": True}
    assert (agreed.annotators, agreed.undecided, agreed.settled) == (("1",), 1, False)
    assert not consensus([opinion("2", "a", cannot_decide="cut off")]).settled


def test_evidence_is_what_most_marked() -> None:
    agreed = consensus([opinion("1", "A", (0, 10, "a")), opinion("2", "A", (5, 12, "a")), opinion("3", "A", (8, 20, "a"))])
    assert agreed.spans == (Span(start=5, end=12, label="a"),)


def test_evidence_that_nobody_shares_is_kept_for_the_adjudicator() -> None:
    agreed = consensus([opinion("1", "A", (0, 3, "a")), opinion("2", "A", (5, 7, "a"))])
    assert agreed.spans == (Span(start=0, end=3, label="a"), Span(start=5, end=7, label="a"))


def test_evidence_of_a_label_that_is_voted_down_goes() -> None:
    assert consensus([opinion("1", "A", (0, 3, "a")), opinion("2", "a"), opinion("3", "a")]).spans == ()


def test_the_document_type_of_most() -> None:
    kinds = ["service_ad", "service_ad", "other"]
    agreed = consensus([opinion(str(i), "a", document_type=kind) for i, kind in enumerate(kinds)])
    assert (agreed.document_type, agreed.document_type_disputed, agreed.settled) == ("service_ad", True, False)


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        ([], "of 0"),
        ([opinion("1", "a"), opinion("1", "A")], "two annotations of one annotator"),
        ([opinion("1", "a"), opinion("1", "a").model_copy(update={"ad_id": "ad-2"})], "of 2"),
    ],
)
def test_what_is_no_set_of_opinions_is_refused(annotations: list[Annotation], problem: str) -> None:
    with pytest.raises(AnnotationError, match=problem):
        consensus(annotations)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=6).flatmap(
        lambda opinions: st.tuples(st.just(opinions), st.permutations(range(len(opinions))))
    )
)
def test_the_order_of_annotations_does_not_matter(drawn: tuple[list[dict[str, bool]], list[int]]) -> None:
    opinions, order = drawn
    annotations = [Annotation(ad_id="ad-1", annotator=str(i), labels=labels) for i, labels in enumerate(opinions)]
    agreed = consensus(annotations)
    assert consensus([annotations[i] for i in order]) == agreed
    assert set(agreed.labels) | set(agreed.disputed) == set(agreed.shares)
