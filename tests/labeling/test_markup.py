import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import MarkupError
from labeling.markup import parse_markup


def found(marked: str) -> tuple[str, list[tuple[str, str]]]:
    text, spans = parse_markup(marked)
    return text, [(span.label, text[span.start : span.end]) for span in spans]


def test_marked_words_become_spans() -> None:
    assert found("Work. [[debt|You owe 900]] and 🙂 [[papers|we keep them]].") == (
        "Work. You owe 900 and 🙂 we keep them.",
        [("debt", "You owe 900"), ("papers", "we keep them")],
    )


def test_two_labels_may_share_words_and_brackets_nest() -> None:
    assert found("[[a,b|one [[c|two]]]] three") == ("one two three", [("a", "one two"), ("b", "one two"), ("c", "two")])


def test_a_literal_bracket_is_escaped() -> None:
    assert found(r"\[[x\]] [single]") == ("[[x]] [single]", [])


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ("a [[debt|b", r"column 3: '\[\[' is not closed"),
        ("a b]] c", r"column 4: '\]\]' closes nothing"),
        ("[[Debt|b]]", "column 1"),
        ("[[debt]] b", "column 1"),
        ("[[debt| ]]", "nothing is marked"),
        ("[[debt|b ]]", "begins or ends with a space"),
    ],
)
def test_bad_markup_is_refused_with_its_column(marked: str, message: str) -> None:
    with pytest.raises(MarkupError, match=message):
        parse_markup(marked)


@given(st.lists(st.tuples(st.text("ab 🙂é\n", min_size=1).filter(lambda s: s == s.strip()), st.sampled_from(["", "x", "x,y_z"]))))
def test_reading_gives_back_what_was_marked(pieces: list[tuple[str, str]]) -> None:
    marked = " ".join(f"[[{labels}|{words}]]" if labels else words for words, labels in pieces)
    text, spans = parse_markup(marked)
    assert text == " ".join(words for words, _ in pieces)
    assert sorted({(s.label, text[s.start : s.end]) for s in spans}) == sorted(
        {(label, words) for words, labels in pieces if labels for label in labels.split(",")}
    )
