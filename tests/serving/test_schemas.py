import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.schemas import Limits, ScoreRequest, is_blank, is_plain_name, nearest

LIMITS = Limits(max_ads=3, max_characters=10, label_ids=("debt_or_fees", "states_limits"))


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\ufeff\u00a0", "\u2028", "\x00", "\u3000"])
def test_what_cannot_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)


@given(st.text())
def test_a_text_with_a_letter_is_never_blank(text: str) -> None:
    assert not is_blank(text + "a")


def test_only_what_looks_like_a_name_is_plain() -> None:
    assert is_plain_name("debt_or_fees")
    assert not any(is_plain_name(name) for name in ("my text", "a" * 41, "0612345678", "café", ""))


def test_the_nearest_name_is_suggested_or_none() -> None:
    assert nearest("debt_fees", LIMITS.label_ids) == " Did you mean 'debt_or_fees'?"
    assert nearest("zzz", LIMITS.label_ids) == ""


def test_without_limits_only_the_shape_is_checked() -> None:
    request = ScoreRequest.model_validate({"ads": [{"id": "a", "text": "x" * 50}], "indicators": ["anything"]})
    assert request.evidence is True


def test_all_errors_of_a_request_are_found_in_one_pass() -> None:
    ads = [{"id": "", "text": "x"}, {"id": "b", "text": "x" * 11}, {"id": "c", "text": " ", "language": "Dutch"}]
    with pytest.raises(ValidationError) as caught:
        ScoreRequest.model_validate({"ads": ads, "indicators": ["debt"], "evidence": "no"}, context=LIMITS)
    assert [error["type"] for error in caught.value.errors()] == [
        "string_too_short",
        "text_too_long",
        "text_blank",
        "string_pattern_mismatch",
        "unknown_indicator",
        "bool_type",
    ]
