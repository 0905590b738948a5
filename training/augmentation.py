"""Augmentation: what people do to a text without changing what it says. For training texts only.

Every way works on a text as a list of pieces, one a character, each of which it may replace by another string (or by
nothing); so spans move along exactly and labels stay. The one exception is written where it is made: a long number whose
digits are disguised IS ``obfuscated_contact``, so that label is added with its span.

Kinds: disguises (look-alike letters, leet, letter spacing, zero-width characters, digits as emoji or words), carelessness
(typos, case, punctuation and diacritics lost) and identity swaps (``identity_words.yaml``: nationality, ethnicity and
gender words exchanged). After Ribeiro et al. 2020 ("CheckList") and Röttger et al. 2021 ("HateCheck"), which test with them.
"""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

import regex
import yaml
from confusable_homoglyphs import confusables

from models.example import LabelledExample, Span
from models.text import LONG_NUMBER

Pieces = list[str]
"""``pieces[i]`` is written instead of ``text[i]``."""

IDENTITY_WORDS = Path(__file__).parent / "identity_words.yaml"
DISGUISED_NUMBER = "obfuscated_contact"

_WORD = regex.compile(r"[\p{L}\p{M}]+")
_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "A": "4", "E": "3", "I": "1", "O": "0", "S": "5"})
_SENTENCE = regex.compile(r"[^.!?\n]+[.!?\n]*\s*")
_ZERO_WIDTH = ("\u200b", "\u200c", "\u2060")


def disguise(text: str, lang: str, rng: Random) -> Pieces:
    """One way of hiding words from automatic reading, on some words of the text (numbers are left as they are)."""
    way = rng.choice((_lookalikes, _leet, _letter_spacing, _zero_width))
    pieces = list(text)
    for start, end in _some_words(text, rng, share=0.2, at_least=4):
        pieces[start:end] = way(text[start:end], rng)
    return pieces


def _lookalikes(word: str, rng: Random) -> Pieces:
    return [rng.choice(_lookalikes_of(c) or (c,)) if rng.random() < 0.4 else c for c in word]


@cache
def _lookalikes_of(char: str) -> tuple[str, ...]:
    """Cyrillic and Greek letters that look like this one, from UTS 39."""
    found = confusables.is_confusable(char, greedy=True, preferred_aliases=[])
    letters = [h["c"] for h in found[0]["homoglyphs"]] if found else []
    return tuple(c for c in letters if len(c) == 1 and unicodedata.name(c, "").startswith(("CYRILLIC", "GREEK")))


def _leet(word: str, rng: Random) -> Pieces:
    return [c.translate(_LEET) if rng.random() < 0.6 else c for c in word]


def _letter_spacing(word: str, rng: Random) -> Pieces:
    gap = rng.choice((" ", ".", "-", "*"))
    return [*(c + gap for c in word[:-1]), word[-1]]


def _zero_width(word: str, rng: Random) -> Pieces:
    return [*(c + (rng.choice(_ZERO_WIDTH) if rng.random() < 0.4 else "") for c in word[:-1]), word[-1]]


def disguise_numbers(text: str, lang: str, rng: Random) -> Pieces:
    """Digits of long numbers as emoji or as words of the language."""
    pieces = list(text)
    words = _digit_words().get(lang)
    spelled = words is not None and rng.random() < 0.5
    for match in LONG_NUMBER.finditer(text):
        for index in range(match.start(), match.end()):
            if text[index].isdigit():
                digit = unicodedata.digit(text[index])
                pieces[index] = f" {words[digit]}" if spelled and words else f"{digit}\ufe0f\u20e3"
    return pieces


def typos(text: str, lang: str, rng: Random) -> Pieces:
    """Letters swapped, dropped or doubled, in about one word of twelve."""
    pieces = list(text)
    for start, end in _some_words(text, rng, share=0.08, at_least=4):
        at = rng.randrange(start + 1, end - 1)
        kind = rng.choice(("swap", "drop", "double"))
        if kind == "swap":
            pieces[at], pieces[at + 1] = pieces[at + 1], pieces[at]
        else:
            pieces[at] = "" if kind == "drop" else pieces[at] * 2
    return pieces


def case(text: str, lang: str, rng: Random) -> Pieces:
    """All in small letters, or all in capitals."""
    change: Callable[[str], str] = rng.choice((str.lower, str.upper))
    return [change(c) for c in text]


def punctuation_loss(text: str, lang: str, rng: Random) -> Pieces:
    """No full stops, commas or exclamation marks."""
    return ["" if c in ".,;:!?" and not text[i - 1 : i].isdigit() else c for i, c in enumerate(text)]


def diacritics_loss(text: str, lang: str, rng: Random) -> Pieces:
    """Letters without their marks, as on a foreign keyboard; Cyrillic stays."""
    return [_bare(c) for c in text]


def _bare(char: str) -> str:
    name = unicodedata.name(char, "")
    return unicodedata.normalize("NFD", char)[0] if name.startswith("LATIN") else char


def identity_swap(text: str, lang: str, rng: Random) -> Pieces:
    """Words of nationality, ethnicity and gender for others of the same form."""
    pieces = list(text)
    alternatives = identity_words().get(lang, {})
    for match in _WORD.finditer(text):
        others = alternatives.get(match[0].lower())
        if others:
            pieces[match.start()] = _cased_like(match[0], rng.choice(others))
            pieces[match.start() + 1 : match.end()] = [""] * (match.end() - match.start() - 1)
    return pieces


def _cased_like(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if model[0].isupper() else word


@cache
def identity_words() -> dict[str, dict[str, tuple[str, ...]]]:
    """Language → word in small letters → the words it may be exchanged for."""
    groups = yaml.safe_load(IDENTITY_WORDS.read_text(encoding="utf-8"))["groups"]
    return {
        lang: {word.lower(): tuple(w for w in group if w != word) for group in of_language for word in group}
        for lang, of_language in groups.items()
    }


@cache
def _digit_words() -> dict[str, list[str]]:
    words: dict[str, str] = yaml.safe_load(IDENTITY_WORDS.read_text(encoding="utf-8"))["digits"]
    return {lang: line.split() for lang, line in words.items()}


def _some_words(text: str, rng: Random, *, share: float, at_least: int) -> list[tuple[int, int]]:
    words = [m.span() for m in _WORD.finditer(text) if m.end() - m.start() >= at_least]
    return [place for place in words if rng.random() < share] or ([rng.choice(words)] if words else [])


def sentences(text: str) -> list[str]:
    """A text in pieces that end where a sentence or a line ends, without the space around them."""
    return [piece for match in _SENTENCE.finditer(text) if (piece := match.group().strip())]


def remixed(example: LabelledExample, others: Sequence[LabelledExample], rng: Random) -> LabelledExample:
    """About as long as a text, of sentences of it and of two others in random order. What it says nobody has judged: it has no
    labels, no type and no scenario.

    Args:
        example: the text.
        others: texts of its language.
        rng: picks.
    """
    pool = [sentence for of in (example, *rng.choices(others, k=2)) for sentence in sentences(of.text)]
    rng.shuffle(pool)
    lengths = accumulate(len(sentence) for sentence in pool)
    some = pool[: 1 + sum(length < len(example.text) for length in lengths)]
    text = "".join(sentence + (" " if sentence[-1] in ".!?" else "\n") for sentence in some)
    return LabelledExample(text=text.strip(), labels=[], lang=example.lang)


def sentence_loss(example: LabelledExample, rng: Random) -> LabelledExample:
    """Without one or some of the sentences in which nothing is marked, so that labels are learnt from their evidence and not from
    its company. Texts that look like a label and have it not stay whole: what was lost might be the denial."""
    if example.hard_negatives or not example.spans:
        return example
    plain = [
        match.span()
        for match in _SENTENCE.finditer(example.text)
        if not any(span.start < match.end() and match.start() < span.end for span in example.spans)
    ]
    pieces = list(example.text)
    for start, end in plain:
        if rng.random() < 0.5:
            pieces[start:end] = [""] * (end - start)
    return _with_pieces(example, pieces)


def joined(example: LabelledExample, other: LabelledExample) -> LabelledExample:
    """One text after the other: what either says, both say. Of no scenario; the type is left open where theirs differ."""
    text = f"{example.text}\n{other.text}"
    moved = len(example.text) + 1
    spans = [span.model_copy(update={"start": span.start + moved, "end": span.end + moved}) for span in other.spans]
    labels = sorted({*example.labels, *other.labels})
    hard = sorted({*example.hard_negatives, *other.hard_negatives}.difference(labels))
    return example.model_copy(
        update={
            "text": text,
            "labels": labels,
            "spans": [*example.spans, *spans],
            "hard_negatives": hard,
            "document_type": example.document_type if example.document_type == other.document_type else None,
            "scenario": "",
        }
    )


WAYS: dict[str, Callable[[str, str, Random], Pieces]] = {
    "disguise": disguise,
    "disguise_numbers": disguise_numbers,
    "typos": typos,
    "case": case,
    "punctuation_loss": punctuation_loss,
    "diacritics_loss": diacritics_loss,
    "identity_swap": identity_swap,
}
TRAINING_WAYS = tuple(way for way in WAYS if way != "identity_swap")
"""The model reads the words of a class as one (``models.identity``), so to exchange them teaches nothing; it is for testing."""


def rewrite(example: LabelledExample, way: str, rng: Random) -> LabelledExample:
    """The example with its text rewritten in one way; spans where the same words are now."""
    pieces = WAYS[way](example.text, example.lang, rng)
    rewritten = _with_pieces(example, pieces)
    spans = rewritten.spans
    if way == "disguise_numbers":
        ends = _ends(pieces)
        numbers = [
            Span(start=ends[m.start()], end=ends[m.end()], label=DISGUISED_NUMBER) for m in LONG_NUMBER.finditer(example.text)
        ]
        taken = {(span.label, span.start) for span in spans}
        spans += [number for number in numbers if (number.label, number.start) not in taken]
    spans = [span for span in spans if span.start < span.end]
    labels = sorted({*example.labels, *(span.label for span in spans)})
    hard = [label for label in example.hard_negatives if label not in labels]
    added = set(labels) - set(example.labels)  # nobody saw it before: no share holds for it
    shares = None if example.shares is None else {label: s for label, s in example.shares.items() if label not in added}
    return rewritten.model_copy(update={"spans": spans, "labels": labels, "hard_negatives": hard, "shares": shares})


def _with_pieces(example: LabelledExample, pieces: Pieces) -> LabelledExample:
    """Spans where the same words are now; one may have become empty."""
    ends = _ends(pieces)
    spans = [span.model_copy(update={"start": ends[span.start], "end": ends[span.end]}) for span in example.spans]
    return example.model_copy(update={"text": "".join(pieces), "spans": spans})


def _ends(pieces: Pieces) -> list[int]:
    """Where each character of the text, and its end, is in what is written."""
    return [0, *accumulate(len(piece) for piece in pieces)]


def augmented(example: LabelledExample, rng: Random, share: float) -> LabelledExample:
    """The example itself, or with probability ``share`` one or two rewritings of it. Texts of prevention keep their type's
    promise of no label: their numbers are never disguised."""
    if rng.random() >= share:
        return example
    ways = [way for way in TRAINING_WAYS if way != "disguise_numbers" or example.document_type != "prevention_or_news"]
    for way in rng.sample(ways, k=rng.choice((1, 1, 2))):
        example = rewrite(example, way, rng)
    return example
