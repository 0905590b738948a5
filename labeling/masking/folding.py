"""One plain character for each character of a text, so that patterns see through full-width, circled and styled forms.

The folded text has the length of the original, code point for code point: a place found in one is a place in the other.
"""

import unicodedata


class _Folding(dict[int, str]):
    """A table for ``str.translate`` that fills itself: all of Unicode would take a second to compute."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def fold(text: str) -> str:
    """The text in plain characters: digits of any kind as 0–9, letters without their style and accents, case kept."""
    return text if text.isascii() else text.translate(_FOLDING)


def lowered(folded: str) -> str:
    """A folded text in lower case, as long as it was."""
    lower = folded.lower()
    # A Turkish İ is two characters then.
    return lower if len(lower) == len(folded) else "".join(c.lower()[0] for c in folded)


def zero_like(char: str) -> str:
    """The zero of the same kind as this digit, or look-alike of a digit."""
    if char in DIGIT_LOOKALIKES:
        return char if DIGIT_LOOKALIKES[char] == "0" else "O"
    if unicodedata.category(char) == "Nd":
        return chr(ord(char) - unicodedata.decimal(char))
    name = unicodedata.name(char, "")
    for kind, zero in _OTHER_ZEROS:
        if kind in name:
            return zero
    return "⓪"


DIGIT_LOOKALIKES = {"O": "0", "o": "0", "О": "0", "о": "0", "I": "1", "l": "1"}
"""Letters that stand for digits inside a number; the second pair is Cyrillic."""

_OTHER_ZEROS = (("SUPERSCRIPT", "⁰"), ("SUBSCRIPT", "₀"), ("NEGATIVE CIRCLED", "⓿"))


def _fold_character(char: str) -> str:
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    if char == "🔟" or (unicodedata.category(char) == "No" and unicodedata.numeric(char, 0.5) % 1 == 0):
        return "0"  # ten or more in one character; which digit it is does not matter here
    plain = unicodedata.normalize("NFKC", char)
    if plain != char and len(plain) == 1:
        return _fold_character(plain)
    base = unicodedata.normalize("NFKD", char)[0]
    return base if base.isalpha() else char


_FOLDING = _Folding()
