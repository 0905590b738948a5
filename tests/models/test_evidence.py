from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.evidence import evidence_spans
from models.windows import Window

TEXT = "The passport stays here. Pay later!"
WORDS = [(0, 3), (4, 12), (13, 18), (19, 23), (23, 24), (25, 28), (29, 34), (34, 35)]


def window(places: list[tuple[int, int]] = WORDS) -> Window:
    return Window(0, [0] * (len(places) + 2), [-1, *(s for s, _ in places), -1], [-1, *(e for _, e in places), -1])


def spans(values: list[float], threshold: float = 0.5) -> list[str]:
    found = evidence_spans(TEXT, [window()], [np.array([1.0, *values, 1.0], dtype=np.float32)], threshold)
    return [span.text for span in found]


def test_neighbouring_tokens_make_one_span_without_punctuation_at_its_ends() -> None:
    assert spans([0, 0.9, 0.8, 0.9, 0.9, 0, 0, 0]) == ["passport stays here"]


def test_a_small_gap_does_not_break_a_span_and_a_wide_one_does() -> None:
    assert spans([0.9, 0.1, 0.9, 0, 0, 0, 0.9, 0]) == ["The passport stays", "later"]


def test_where_no_token_passes_the_strongest_word_is_given() -> None:
    assert spans([0, 0.2, 0.3, 0, 0, 0, 0, 0]) == ["stays"]


def test_a_piece_of_a_word_grows_to_the_word() -> None:
    text = "gepaspoort"
    found = evidence_spans(text, [window([(2, 6)])], [np.array([0, 0.9, 0], dtype=np.float32)], 0.5)
    assert [s.text for s in found] == [text]


def test_overlapping_windows_say_a_place_once() -> None:
    both = [window(), window(WORDS[2:])]
    values = [np.array([0, *v, 0], dtype=np.float32) for v in ([0, 0.9, 0.9, 0.9, 0, 0, 0, 0], [0.9, 0.9, 0, 0, 0, 0])]
    assert [s.text for s in evidence_spans(TEXT, both, values, 0.5)] == ["passport stays here"]


def test_an_empty_text_has_no_evidence() -> None:
    assert evidence_spans("", [window([])], [np.array([0.9, 0.9], dtype=np.float32)], 0.5) == ()


@given(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8), st.floats(0.1, 0.9))
def test_spans_are_in_order_apart_and_inside_the_text(values: list[float], threshold: float) -> None:
    found = evidence_spans(TEXT, [window()], [np.array([0, *values, 0], dtype=np.float32)], threshold)
    assert found
    assert all(TEXT[s.start : s.end] == s.text and s.text.strip() for s in found)
    assert all(a.end < b.start for a, b in pairwise(found))
