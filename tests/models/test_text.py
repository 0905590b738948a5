import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import MARK, normalise

DISGUISES = [
    "p\u200bass",
    "0️⃣6️⃣",
    "р a s s p o r t",
    "𝓗𝓮𝓵𝓵𝓸",
    "ｆｕｌｌ",
    "pаsspоrt",
    "O6l2345678",
    "\ufeff",
    "e\u0301",
    "👩‍👩‍👧",
    "ﬁ",
    MARK,
    "\ud800",
]
TEXTS = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(DISGUISES), st.just(" "), st.just("\r\n")), max_size=12).map(
    "".join
)


@pytest.mark.parametrize(
    ("original", "readable"),
    [
        ("𝓗𝓮𝓵𝓵𝓸 ﬁn", "Hello fin"),
        ("pass\u200bport", f"{MARK}passport"),
        ("bel 0️⃣6️⃣-1️⃣2️⃣", f"bel {MARK}06-12"),
        ("𝟎𝟔 ０６", f"{MARK}06 {MARK}06"),
        ("pаsspоrt", f"{MARK}passport"),
        ("р a s s p o r t", f"{MARK}passport"),
        ("G E Z O C H T: hulp", f"{MARK}GEZOCHT: hulp"),
        ("O6l2345678", f"{MARK}0612345678"),
        ("co\u00adop", "coop"),
        ("a\r\nb\tc", "a\nb c"),
    ],
)
def test_disguises_are_undone_and_marked(original: str, readable: str) -> None:
    assert normalise(original).text == readable


@pytest.mark.parametrize(
    "plain",
    [
        "Паспортът остава в офиса до края на сезона.",
        "Οι μισθοί πληρώνονται κάθε μήνα.",
        "Căutăm culegători, cazare gratuită, 1.200 € pe lună.",
        "Bel 06-00000000 of +31 000 000 000, van 8 tot 5, à 12 p/u.",
        "de 8 a 6 y 1 h",
        "",
    ],
)
def test_plain_text_in_any_script_is_left_alone(plain: str) -> None:
    assert normalise(plain).text == plain


def test_a_mark_in_the_original_cannot_be_mistaken_for_ours() -> None:
    assert MARK not in normalise(f"price {MARK} 10").text


@given(TEXTS)
def test_every_character_maps_to_a_place_in_the_original(original: str) -> None:
    result = normalise(original)
    assert len(result.starts) == len(result.ends) == len(result.text)
    assert all(0 <= s < e <= len(original) for s, e in zip(result.starts, result.ends, strict=True))
    assert result.starts == sorted(result.starts)
    assert result.ends == sorted(result.ends)


@given(TEXTS)
def test_an_unchanged_character_maps_to_itself(original: str) -> None:
    result = normalise(original)
    for char, start, end in zip(result.text, result.starts, result.ends, strict=True):
        if end - start == 1 and char.isascii() and original[start].isascii() and char.isalpha():
            assert char == original[start] or original[start] in "OoIl"


@given(TEXTS, st.data())
def test_mapping_there_and_back_covers_the_same_words(original: str, data: st.DataObject) -> None:
    result = normalise(original)
    if not result.text:
        return
    start = data.draw(st.integers(0, len(result.text) - 1))
    end = data.draw(st.integers(start + 1, len(result.text)))
    there = result.to_original(start, end)
    back = result.from_original(*there)
    if result.text[start] != MARK:
        assert back[0] <= start
    assert back[1] >= end or result.text[end - 1] == MARK


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60))
def test_words_of_ascii_text_keep_their_offsets(original: str) -> None:
    result = normalise(original)
    if MARK not in result.text:
        assert result.text == original
        assert result.starts == list(range(len(original)))


@given(TEXTS)
def test_the_result_is_nfkc_and_has_nothing_invisible(original: str) -> None:
    text = normalise(original).text
    assert not any(unicodedata.category(c) in ("Cf", "Cs") for c in text)
    assert not any(c in text for c in "\u200b\ufe0f\u20e3\x00")
