"""Text normalisation with an exact map back to the original text.

Ads are disguised against automatic reading: styled letters, Cyrillic look-alikes inside Latin words, zero-width
characters, l e t t e r - s p a c i n g, digits as emoji. What a person reads is restored before the tokenizer sees it.
The disguise itself is a cue (``obfuscated_contact``), so it is not simply lost: ``MARK`` is put before every word where
one was undone. Every normalised character knows which original characters it stands for, so evidence found in the
normalised text is reported in offsets of the original.

Unicode data does the work: NFKC (``unicodedata``), grapheme clusters (``regex``), UTS 39 look-alikes
(``confusable-homoglyphs``).
"""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache

import regex
from confusable_homoglyphs import categories, confusables

MARK = "※"
"""Stands before a word in which a disguise was undone; one known token of the base encoder's vocabulary."""

LONG_NUMBER = regex.compile(r"\+?\d(?:[ \-./()]{0,2}\d){7,}")
"""Eight digits or more, grouped or not: what may be a phone number."""

_CLUSTER = regex.compile(r"\X")
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_SPACED = r"(?<![\p{{L}}\p{{N}}]){0}(?P<gap>[ ._*·-]){0}(?:(?P=gap){0}){{2,}}(?![\p{{L}}\p{{N}}])"
_LETTER_SPACED = [regex.compile(_SPACED.format(kind)) for kind in (r"\p{L}", r"\p{N}")]
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Cc}\p{Cs}\uFE00-\uFE0F\u20E3]")
LONGEST_KNOWN = 4
"""Code points of a grapheme cluster whose reading is remembered: all that writing needs. Marks can be piled up without end."""
_DIGIT_LOOKALIKES = {"O": "0", "o": "0", "I": "1", "l": "1"}
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """``text[i]`` stands for ``original[starts[i]:ends[i]]``; ``starts`` and ``ends`` never decrease."""

    text: str
    starts: list[int]
    ends: list[int]

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Offsets in the original of ``text[start:end]`` (code points, end exclusive; ``start < end``)."""
        while start < end - 1 and self.text[start] == MARK:
            start += 1
        return self.starts[start], max(self.ends[start:end])

    def from_original(self, start: int, end: int) -> tuple[int, int]:
        """The smallest range of normalised characters that touches ``original[start:end]``; empty if none does."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)


@dataclass(slots=True)
class _Glyph:
    """One normalised character on its way: where it came from and whether a disguise was undone to get it."""

    char: str
    start: int
    end: int
    disguised: bool = field(default=False)


def normalise(original: str) -> NormalisedText:
    """Restore what a person reads. Linear in the length of the text; never fails, whatever the code points."""
    glyphs = list(_readable_glyphs(original))
    glyphs = _join_letter_spacing(glyphs)
    _undo_lookalikes(glyphs)
    glyphs = _mark_disguises(glyphs)
    return NormalisedText("".join(g.char for g in glyphs), [g.start for g in glyphs], [g.end for g in glyphs])


def _readable_glyphs(original: str) -> Iterator[_Glyph]:
    """NFKC by grapheme cluster; invisible characters dropped, and noted where they split a word."""
    hidden_after_letter = False
    before = ""
    for match in _CLUSTER.finditer(original):
        cluster, start, end = match[0], match.start(), match.end()
        if cluster.isspace():
            yield _Glyph("\n" if "\n" in cluster or "\r" in cluster else " ", start, end)
            before, hidden_after_letter = " ", False
            continue
        readable, digit = (_known_reading if end - start <= LONGEST_KNOWN else _reading)(cluster)
        if not readable:
            hidden_after_letter = before.isalnum() and cluster != "\u00ad"
            continue
        disguised = digit or (hidden_after_letter and readable[0].isalnum())
        one_to_one = len(readable) == len(cluster)
        for index, char in enumerate(readable):
            place = (start + index, start + index + 1) if one_to_one else (start, end)
            yield _Glyph(" " if char.isspace() else char, *place, disguised)
        before, hidden_after_letter = readable[-1], False


def _reading(cluster: str) -> tuple[str, bool]:
    """What a person reads of a grapheme cluster, nothing where it cannot be seen; and whether that is a digit in disguise."""
    readable = unicodedata.normalize("NFKC", _INVISIBLE.sub("", cluster)).replace(MARK, "*")
    return readable, readable != cluster and any(c.isdigit() and c.isascii() for c in readable)


_known_reading = lru_cache(maxsize=4096)(_reading)


def _undo_lookalikes(glyphs: list[_Glyph]) -> None:
    """In words that mix scripts, letters become their look-alikes in the word's main script; in long digit runs, O and l
    become digits. Words written in one script are left alone, so no Cyrillic or Greek text is touched."""
    text = "".join(g.char for g in glyphs)
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii():
            digits = sum(c.isdigit() for c in word)
            if len(word) >= 6 and digits >= 3 and all(c.isdigit() or c in _DIGIT_LOOKALIKES for c in word):
                for glyph in glyphs[match.start() : match.end()]:
                    _replace(glyph, _DIGIT_LOOKALIKES.get(glyph.char, glyph.char))
            continue
        scripts = [_script(c) for c in word]
        counts = {s: scripts.count(s) for s in _SCRIPTS if s in scripts}
        if len(counts) < 2:
            continue
        main = max(counts, key=lambda s: counts[s])
        for glyph, script in zip(glyphs[match.start() : match.end()], scripts, strict=True):
            if script in counts and script != main:
                _replace(glyph, _lookalike(glyph.char, main) or glyph.char)


def _replace(glyph: _Glyph, char: str) -> None:
    if char != glyph.char:
        glyph.char, glyph.disguised = char, True


@cache
def _script(char: str) -> str:
    return str(categories.alias(char))


@cache
def _lookalike(char: str, script: str) -> str | None:
    """The single letter of ``script`` that looks like ``char``, of the same case where there is one; from UTS 39."""
    found = confusables.is_confusable(char, greedy=True, preferred_aliases=[])
    if not found:
        return None
    letters = [h["c"] for h in found[0]["homoglyphs"] if len(h["c"]) == 1 and h["c"].isalpha() and _script(h["c"]) == script]
    same_case = [c for c in letters if c.isupper() == char.isupper()]
    plain = [c for c in same_case or letters if unicodedata.normalize("NFKC", c) == c]
    return min(plain) if plain else None


def _join_letter_spacing(glyphs: list[_Glyph]) -> list[_Glyph]:
    text = "".join(g.char for g in glyphs)
    gaps: set[int] = set()
    for pattern in _LETTER_SPACED:
        for match in pattern.finditer(text):
            gaps.update(range(match.start() + 1, match.end(), 2))
            for glyph in glyphs[match.start() : match.end()]:
                glyph.disguised = True
    return [glyph for index, glyph in enumerate(glyphs) if index not in gaps]


def _mark_disguises(glyphs: list[_Glyph]) -> list[_Glyph]:
    """Put ``MARK`` before each run of non-space characters that holds a disguised one."""
    marked: list[_Glyph] = []
    for match in regex.finditer(r"\S+|\s+", "".join(g.char for g in glyphs)):
        run = glyphs[match.start() : match.end()]
        if any(g.disguised for g in run):
            marked.append(_Glyph(MARK, run[0].start, run[0].end))
        marked.extend(run)
    return marked
