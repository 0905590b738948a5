"""Phone numbers written as words, wholly or in part: "nul zes, een twee …", "zéro six douze 34 …".

Words of ``number_words.yaml`` in one language, with digits among them, that follow one another and come to seven digits or
more. Ordinary prose does not do that; "two or three", "from one to five" and years in words stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from labeling.masking.folding import fold, lowered, zero_like
from labeling.masking.phones import LEAST_DIGITS, without_other_numbers

WORDS_FILE = Path(__file__).with_name("number_words.yaml")
LEAST_WORDS = 3
MOST_BETWEEN = 5
"""Characters that may stand between two parts of a number: spaces, dashes, a flower."""

_TOKEN = re.compile(r"[0-9]+|[^\W\d_]+(?:['’][^\W\d_]+)?")
_BETWEEN = re.compile(rf"[^\w\n€$£%]{{0,{MOST_BETWEEN}}}")


@dataclass(frozen=True)
class _Word:
    """A word for a number: in which languages, and how many digits it stands for; none where it only links two others."""

    languages: dict[str, int] = field(default_factory=dict)


@dataclass
class _Run:
    languages: frozenset[str] | None = None
    """The languages that all words so far have in common; None while there are only digits."""
    tokens: list[re.Match[str]] = field(default_factory=list)


@cache
def _words() -> tuple[dict[str, _Word], dict[str, str]]:
    """All number words, folded, and each language's zero."""
    words: dict[str, _Word] = {}
    zeros: dict[str, str] = {}
    for language, entry in yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8")).items():
        digits, tens = entry["digits"], entry.get("tens", [])
        joined = entry.get("joined", "")
        more = [*entry["more"], *tens, *(joined.format(unit=unit, ten=ten) for unit in digits for ten in tens if joined)]
        zeros[language] = digits[0]
        for group, count in ((digits, 1), (more, 2), ([entry["link"]] if "link" in entry else [], 0)):
            for word in group:
                words.setdefault(fold(word), _Word()).languages.setdefault(language, count)
    return words, zeros


def masked_number_words(text: str, folded: str) -> str:
    """The text with numbers in words masked; ``folded`` is ``fold(text)``."""
    lower = lowered(folded)
    words = _words()[0]
    if sum(token in words for token in _TOKEN.findall(lower)) < LEAST_WORDS:
        return text
    chars = list(text)
    for run in _runs(without_other_numbers(lower)):
        language = min(run.languages or ())
        zero = _words()[1][language]
        for token in run.tokens:
            for place in range(*token.span()):
                if folded[place].isdigit():
                    chars[place] = zero_like(chars[place])
                elif not _is_link(token[0], language):
                    letter = zero[min(place - token.start(), len(zero) - 1)]
                    chars[place] = letter.upper() if chars[place].isupper() else letter
    masked = "".join(chars)
    return text if masked == text else masked


def _is_link(token: str, language: str) -> bool:
    word = _words()[0].get(token)
    return word is not None and word.languages.get(language) == 0


def _runs(folded: str) -> Iterator[_Run]:
    """Chains of number words and digits that are long enough to be a phone number."""
    words = _words()[0]
    run, end = _Run(), 0
    for token in _TOKEN.finditer(folded):
        word = words.get(token[0])
        is_number = word is not None or token[0].isdigit()
        if run.tokens and (not is_number or not _BETWEEN.fullmatch(folded, end, token.start())):
            yield from _long_enough(run)
            run = _Run()
        if not is_number:
            continue
        if word is not None:
            shared = frozenset(word.languages) & (run.languages or frozenset(word.languages))
            if not shared:
                yield from _long_enough(run)
                run, shared = _Run(), frozenset(word.languages)
            run.languages = shared
        run.tokens.append(token)
        end = token.end()
    yield from _long_enough(run)


def _long_enough(run: _Run) -> Iterator[_Run]:
    if not run.languages:
        return
    words = _words()[0]
    language = min(run.languages)
    spoken = [words[t[0]].languages[language] for t in run.tokens if not t[0].isdigit()]
    digits = sum(spoken) + sum(len(t[0]) for t in run.tokens if t[0].isdigit())
    if sum(count > 0 for count in spoken) >= LEAST_WORDS and digits >= LEAST_DIGITS:
        yield run
