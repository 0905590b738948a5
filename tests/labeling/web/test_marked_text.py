from hypothesis import given
from hypothesis import strategies as st

from labeling.web.marked_text import pieces
from models.example import Span

LABELS = ("debt_or_fees", "states_limits", "dependency_isolation")


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Span]]:
    text = draw(st.text(min_size=1, max_size=40))
    starts = st.integers(0, len(text) - 1)
    spans = draw(st.lists(st.tuples(starts, starts, st.sampled_from(LABELS)), max_size=6))
    return text, [Span(start=min(a, b), end=max(a, b) + 1, label=label) for a, b, label in spans]


@given(marked())
def test_pieces_make_the_text_and_each_character_has_its_labels(given_text: tuple[str, list[Span]]) -> None:
    text, spans = given_text
    found = pieces(text, spans)
    assert "".join(piece.text for piece in found) == text
    place = 0
    for piece in found:
        for offset in range(place, place + len(piece.text)):
            assert set(piece.labels) == {span.label for span in spans if span.start <= offset < span.end}
        place += len(piece.text)
    assert sum(len(piece.keys.split()) for piece in found) == len({(span.end, span.label) for span in spans})
