"""Blinding: exchanging a word of origin, faith, status or gender leaves what the model reads as it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.identity import blinded, lexicons
from models.text import normalise
from models.windows import WindowMaker
from training.augmentation import identity_words


def read(text: str, language: str = "en") -> str:
    return blinded(normalise(text), language).text


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("en", "A Romanian woman, she cleans offices in Leeds.", "A Ghanaian man, he cleans offices in Leeds."),
        ("en", "MUSLIM LADIES WELCOME", "CATHOLIC MEN WELCOME"),
        ("nl", "Poolse dames gezocht voor de kas.", "Thaise heren gezocht voor de kas."),
        ("de", "Rumäninnen und Bulgaren gesucht.", "Ungarinnen und Österreicher gesucht."),
        ("pl", "Szukamy kobiet z Ukrainy.", "Szukamy mężczyzn z Rumunii."),
        ("bg", "Търсим жени от Румъния.", "Търсим мъже от Турция."),
        ("en", "Cleaner, R o m a n i a n", "Cleaner, Ｄｕｔｃｈ"),
    ],
)
def test_texts_that_differ_in_such_words_alone_are_read_alike(language: str, one: str, other: str) -> None:
    assert one != other
    assert read(one, language).replace("※", "") == read(other, language).replace("※", "")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Nail polish and a Turkey-red chair, poles for the tent."),
        ("nl", "Let op: een zwembad met een pool, naast de man-made duinen."),
        ("hu", "Kétszer keresztül kellett mennünk, aztán lett idő."),
        ("ro", "Salariul e de două mii de franci, un roman bun."),
        ("pt", "Ganha bem, com letras grandes."),
    ],
)
def test_everyday_words_that_look_so_are_left_alone(language: str, text: str) -> None:
    unchanged = {"en": "Nail polish", "nl": "Let op", "hu": "keresztül", "ro": "franci", "pt": "Ganha bem, com letras"}
    assert unchanged[language] in read(text, language)


def test_a_language_without_a_lexicon_is_left_as_it_is() -> None:
    text = normalise("En rumänsk kvinna")
    assert blinded(text, "sv") is text


def test_case_is_kept_because_it_says_nothing_of_anyone() -> None:
    assert read("Polish, POLISH and hungarian") == "Dutch, DUTCH and dutch"


def test_every_word_that_robustness_exchanges_is_read_as_its_partners() -> None:
    """Else the figure in the reports would hold what the lexicon could have taken away."""
    apart = []
    for language, words in identity_words().items():
        lexicon = lexicons()[language]
        for word, partners in words.items():
            # Some count only with a capital, as they stand in a text.
            readings = {(lexicon.read_as(one.capitalize()) or one).lower() for one in (word, *partners)}
            if len(readings) > 1:
                apart.append((language, word))
    assert not apart


@given(st.text(alphabet=st.sampled_from("Romanian womn MEN\u200b-'éß🙂а"), max_size=60), st.sampled_from(sorted(lexicons())))
def test_the_map_back_stays_ordered_and_inside_the_text(original: str, language: str) -> None:
    text = blinded(normalise(original), language)
    assert len(text.text) == len(text.starts) == len(text.ends)
    assert text.starts == sorted(text.starts)
    assert all(0 <= start < end <= len(original) for start, end in zip(text.starts, text.ends, strict=True))


def test_tokens_of_a_blinded_word_point_at_the_whole_word_as_written(base_folder: Path) -> None:
    text = "Two Venezuelan cleaners work here in the evenings."
    (window,) = WindowMaker(base_folder / "tokenizer.json").windows([text])
    words = {text[s:e] for s, e in zip(window.starts, window.ends, strict=True) if s >= 0}
    assert "Venezuelan" in words
    assert "".join(text.split()) == "".join(
        dict.fromkeys(text[s:e] for s, e in zip(window.starts, window.ends, strict=True) if s >= 0)
    )
