import pytest
from pydantic import ValidationError

from labeling.annotation import Annotation
from models.example import Span


def annotation(**changes: object) -> Annotation:
    return Annotation.model_validate({"ad_id": "ad-1", "annotator": "7", **changes})


def test_a_label_is_present_absent_or_not_judged() -> None:
    opinion = annotation(labels={"debt_or_fees": True, "absent_limits": False})
    assert opinion.present == ("debt_or_fees",)
    assert "minor_age_cue" not in opinion.labels


@pytest.mark.parametrize("labels", [{}, {"debt_or_fees": False}])
def test_evidence_needs_a_present_label(labels: dict[str, bool]) -> None:
    with pytest.raises(ValidationError, match="not judged present"):
        annotation(labels=labels, spans=[Span(start=0, end=4, label="debt_or_fees")])


def test_evidence_is_not_empty() -> None:
    with pytest.raises(ValidationError, match="is empty"):
        annotation(labels={"debt_or_fees": True}, spans=[Span(start=4, end=4, label="debt_or_fees")])


def test_spans_of_a_label_come_in_order_of_place() -> None:
    spans = [
        Span(start=9, end=12, label="debt_or_fees"),
        Span(start=0, end=4, label="debt_or_fees"),
        Span(start=5, end=8, label="x"),
    ]
    opinion = annotation(labels={"debt_or_fees": True, "x": True}, spans=spans)
    assert [s.start for s in opinion.spans_of("debt_or_fees")] == [0, 9]


def test_cannot_decide_is_not_an_opinion() -> None:
    assert annotation().decided
    assert not annotation(cannot_decide="the text is cut off").decided


def test_it_survives_json() -> None:
    opinion = annotation(
        labels={"debt_or_fees": True}, spans=[Span(start=0, end=4, label="debt_or_fees")], saved_at="2026-11-28T10:00:00Z"
    )
    assert Annotation.model_validate_json(opinion.model_dump_json()) == opinion
