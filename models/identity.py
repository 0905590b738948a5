"""Blinding: words of origin, faith, migration status and gender are read as one word a class, so that exchanging them cannot
move a score.

The classes are in ``identity.yaml``. Whatever the text says, "Romanian", "Ghanaian" and "Dutch" reach the tokenizer as the
same word, and so do "woman" and "man". For the words that are listed, equal treatment is not learnt and hoped for but
given; for others there is only what training does. Grammar that agrees with such a word (endings, some pronouns) stays and can
still tell; ``training/checks`` measures what is left.

Given up: what such a word could tell a reader. No label of the taxonomy depends on it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex
import yaml

from models.text import NormalisedText

LEXICON = Path(__file__).with_suffix(".yaml")
SHORTEST_STEM = 3

_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['-][\p{L}\p{M}]+)*")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The classes of one language: what a word, in small letters, is read as."""

    words: dict[str, str]
    stems: dict[str, str]
    with_capital: frozenset[str]
    """Of ``words``, those that count only where the text writes them with a capital."""

    def read_as(self, word: str) -> str | None:
        """What is read instead of ``word``, in the same case; None when the word is of no class."""
        small = word.lower()
        if small in self.words:
            if small in self.with_capital and not word[0].isupper():
                return None
            return cased_like(word, self.words[small])
        for length in range(len(small), SHORTEST_STEM - 1, -1):
            if small[:length] in self.stems:
                return cased_like(word, self.stems[small[:length]])
        return None


def cased_like(model: str, word: str) -> str:
    """``word`` in the case of ``model``: capitals, a first capital, or small letters."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if model[0].isupper() else word[0].lower() + word[1:]


@cache
def lexicons() -> dict[str, Lexicon]:
    """Language → its lexicon.

    Raises:
        ValueError: a word is in two classes of a language.
    """
    return {language: _lexicon(language, classes) for language, classes in yaml.safe_load(LEXICON.read_text("utf-8")).items()}


def _lexicon(language: str, classes: dict[str, str]) -> Lexicon:
    words: dict[str, str] = {}
    stems: dict[str, str] = {}
    with_capital: set[str] = set()
    for read, listed in classes.items():
        for entry in [*listed.split(), read]:
            into, key = (stems, entry[:-1].lower()) if entry.endswith("*") else (words, entry.lower())
            if into.get(key, read) != read:
                raise ValueError(f"{LEXICON}: {language}: {entry} is in two classes, {into[key]} and {read}.")
            into[key] = read
            if into is words and entry != read and entry[0].isupper():
                with_capital.add(key)
    return Lexicon(words, stems, frozenset(with_capital))


def blinded(text: NormalisedText, language: str) -> NormalisedText:
    """The text with every word of a class read as that class; all characters of such a word stand for the whole word.

    Args:
        text: normalised, so that disguised words are found too.
        language: ISO 639-1 code; a language without a lexicon is left as it is.
    """
    lexicon = lexicons().get(language)
    if lexicon is None:
        return text
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in _WORD.finditer(text.text):
        read = lexicon.read_as(match[0])
        if read is None:
            continue
        first, end = match.span()
        parts += (text.text[done:first], read)
        starts += [*text.starts[done:first], *[text.starts[first]] * len(read)]
        ends += [*text.ends[done:first], *[max(text.ends[first:end])] * len(read)]
        done = end
    return NormalisedText("".join([*parts, text.text[done:]]), [*starts, *text.starts[done:]], [*ends, *text.ends[done:]])
