from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.example import LabelledExample, Span
from models.text import normalise
from training.augmentation import WAYS, augmented, identity_words, joined, remixed, rewrite, sentence_loss, sentences

TEXT = (
    "Romanian pickers wanted: passport stays at the office, the bus costs 900. Call 06-00000000, ask for the woman at the desk."
)
CUE = "passport stays at the office"


def example(text: str = TEXT, lang: str = "en", **fields: object) -> LabelledExample:
    start = text.index(CUE)
    span = Span(start=start, end=start + len(CUE), label="document_or_earnings_control")
    return LabelledExample(text=text, lang=lang, labels=[span.label], spans=[span], **fields)  # type: ignore[arg-type]


def words_of(one: LabelledExample, label: str = "document_or_earnings_control") -> list[str]:
    return [one.text[span.start : span.end] for span in one.spans if span.label == label]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(20))
def test_labels_stay_and_spans_move_along(way: str, seed: int) -> None:
    rewritten = rewrite(example(), way, Random(seed))
    assert "document_or_earnings_control" in rewritten.labels
    (words,) = words_of(rewritten)
    assert abs(len(words.split()) - len(CUE.split())) <= len(CUE)  # letter spacing by blanks adds some
    assert words[0].casefold() == "p" or way == "disguise"
    before, after = TEXT.index(CUE), rewritten.text.index(words)
    assert rewritten.text[:after].count("\n") == TEXT[:before].count("\n")


def test_a_disguise_changes_the_text_and_what_is_not_leet_reads_as_before() -> None:
    rewritten = [rewrite(example(), "disguise", Random(seed)).text for seed in range(60)]
    assert sum(text != TEXT for text in rewritten) >= 50
    undone = [normalise(text).text.replace("※", "") for text in rewritten if text != TEXT]
    assert sum(text == TEXT for text in undone) >= 20, "look-alikes, zero-width characters and most letter spacing are undone"


def test_a_disguised_number_is_obfuscated_contact_with_its_span() -> None:
    rewritten = rewrite(example(hard_negatives=["obfuscated_contact"]), "disguise_numbers", Random(1))
    assert "obfuscated_contact" in rewritten.labels
    assert rewritten.hard_negatives == []
    (words,) = words_of(rewritten, "obfuscated_contact")
    assert "000" not in words
    assert "900" in rewritten.text, "a price is no contact"


def test_a_text_of_prevention_never_gets_a_label() -> None:
    one = LabelledExample(text="Help line: 0800-000 000 00", lang="en", labels=[], document_type="prevention_or_news")
    assert all(augmented(one, Random(seed), share=1.0).labels == [] for seed in range(60))


@pytest.mark.parametrize("seed", range(10))
def test_an_identity_swap_exchanges_those_words_and_no_other(seed: int) -> None:
    rewritten = rewrite(example(), "identity_swap", Random(seed))
    before, after = TEXT.split(), rewritten.text.split()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed
    assert {a for a, _ in changed} <= {"Romanian", "woman"}
    assert words_of(rewritten) == [CUE]
    assert all(b[0].isupper() == a[0].isupper() for a, b in changed)


def test_no_identity_word_is_in_two_groups() -> None:
    for lang, words in identity_words().items():
        for word, others in words.items():
            for other in others:
                back = words[other.lower()]
                assert word in {w.lower() for w in back}, f"{lang}: {word} and {other} are not of one group"


def test_share_none_leaves_every_text_as_it_is() -> None:
    one = example()
    assert all(augmented(one, Random(seed), share=0.0) is one for seed in range(20))


@given(st.text(max_size=80), st.sampled_from(sorted(WAYS)), st.integers(0, 1000))
def test_any_text_can_be_rewritten(text: str, way: str, seed: int) -> None:
    full = f"a{text}b"
    spans = [Span(start=0, end=len(full), label="debt_or_fees")]
    one = LabelledExample(text=full, lang="en", labels=["debt_or_fees"], spans=spans)
    rewritten = rewrite(one, way, Random(seed))
    assert LabelledExample.model_validate(rewritten.model_dump()) == rewritten


@pytest.mark.parametrize("seed", range(10))
def test_sentences_are_lost_but_not_those_with_evidence(seed: int) -> None:
    text = f"Pickers wanted! Warm huts. {TEXT} Ask for Marek\nFree bus."
    shorter = sentence_loss(example(text), Random(seed))
    assert words_of(shorter) == [CUE]
    assert all(sentence in text for sentence in shorter.text.split(". "))


def test_sentences_are_lost_sometimes_and_never_where_one_may_be_the_denial() -> None:
    text = f"Pickers wanted. Warm huts. {TEXT}"
    assert len({sentence_loss(example(text), Random(seed)).text for seed in range(30)}) > 3
    looks_alike = example(text, hard_negatives=["debt_or_fees"])
    plain = LabelledExample(text="We hold your passport? Never. Come and see.", lang="en", labels=[])
    for one in (looks_alike, plain):
        assert all(sentence_loss(one, Random(seed)) == one for seed in range(10))


def test_two_texts_joined_say_what_either_says() -> None:
    other = LabelledExample(
        text="The bus comes off your wages.",
        lang="en",
        labels=["debt_or_fees"],
        spans=[Span(start=8, end=28, label="debt_or_fees")],
        document_type="other",
    )
    both = joined(
        other, example(hard_negatives=["debt_or_fees", "minor_age_cue"], document_type="recruitment_post", scenario="a")
    )
    assert both.labels == ["debt_or_fees", "document_or_earnings_control"]
    assert both.hard_negatives == ["minor_age_cue"]
    assert (words_of(both), words_of(both, "debt_or_fees")) == ([CUE], ["comes off your wages"])
    assert (both.document_type, both.scenario) == (None, "")
    LabelledExample.model_validate(both.model_dump())


def test_a_remix_is_sentences_of_texts_of_its_language_about_as_long_and_without_labels() -> None:
    example = LabelledExample(
        text="You pay 900 first. The bus goes at six!\nAsk for Jo", labels=["debt_or_fees"], lang="en", scenario="bus"
    )
    others = [LabelledExample(text="Room with view. No deposit.", labels=[], lang="en")]
    pool = {"You pay 900 first.", "The bus goes at six!", "Ask for Jo", "Room with view.", "No deposit."}
    remixes = [remixed(example, others, Random(seed)) for seed in range(20)]
    assert len({remix.text for remix in remixes}) > 10
    for remix in remixes:
        assert set(sentences(remix.text)) <= pool
        assert abs(len(remix.text) - len(example.text)) < 25
        assert (remix.labels, remix.lang, remix.document_type, remix.scenario) == ([], "en", None, "")
