"""Phone numbers: digits in groups, told from the other numbers that an ad is full of.

A run is a chain of digit groups with little between them. Dates, times and amounts are taken out first. Of what is left, a
run of seven digits or more that starts with 0 or + is a phone number (a price never does); so is a long unbroken group.
For the rest libphonenumber decides whether the groups, or a stretch of them, are a valid number somewhere.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import phonenumbers

from labeling.masking.folding import DIGIT_LOOKALIKES, zero_like

LEAST_DIGITS = 7
MOST_DIGITS = 15
"""E.164: no phone number is longer."""

# Where numbers are tried without a country code: where the ads' languages are spoken, and the neighbours.
_REGIONS = (
    *("NL", "BE", "DE", "AT", "CH", "FR", "GB", "IE", "ES", "PT", "IT", "PL", "RO", "MD", "HU", "BG", "UA", "TR", "CZ", "SK"),
    *("GR", "HR", "RS", "SI", "DK", "SE", "NO", "FI", "EE", "LV", "LT", "LU", "US"),
)

_LETTER = r"[^\W\d_]"
_UNSEEN = r"[\u00ad\u200b-\u200f\u2060\ufe0f\u20e3\ufeff]*"  # a keycap emoji is a digit and two of these
_DIGIT = rf"[0-9]{_UNSEEN}"
_LOOKALIKE = rf"[OoОоIl]{_UNSEEN}"
# Look-alikes count only in a word that has digits and nothing else.
_GROUP = (
    rf"(?:(?<!{_LETTER}){_LOOKALIKE}(?:{_LOOKALIKE})?(?=[0-9]))?(?:{_DIGIT})++"
    rf"(?:(?:{_LOOKALIKE})+(?:{_DIGIT})+)*(?:(?:{_LOOKALIKE})+(?!{_LETTER}|[0-9]))?"
)
_NARROW = r"(?:[ \u00a0\u202f\-‐-―−./()\[\]_*·•~|]|\bO{1,3}\b){1,4}"
_WIDE = r"[^\w\n€$£₴₺%]{1,5}"
_RUN = re.compile(rf"(?:\+{_UNSEEN}[ (]{{0,2}})?{_GROUP}(?:{_NARROW}{_GROUP})*")
# No start inside a group, or a long number would be read once for each of its digits.
_WIDE_RUN = re.compile(rf"(?<![0-9\u200b-\u200f\ufe0f\u20e3]){_GROUP}(?:{_WIDE}{_GROUP}){{3,}}")
_GROUPS = re.compile(_GROUP)

_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12][0-9]|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)[0-9]{2}"
_TIME = r"(?:[01]?[0-9]|2[0-4])[.:][0-5][0-9]"
_WHOLE_HOUR_TIME = r"(?:[01][0-9]|2[0-4])[0-5][05]"
_ALONE, _END = r"(?<![0-9])(?<![0-9][ ./:\-])", r"(?![0-9]|[ ./:\-]{1,2}[0-9])"
_TO = r" ?[-‐-―−/] ?"
_DAY_MONTH_YY = rf"{_DAY}([./-]){_MONTH}(?:\{{0}}(?:[0-9]{{{{2}}}})?)?"
_CURRENCY = r"(?:€|\$|£|₴|₺|zł|zl|eur|euros?|usd|gbp|chf|lei|ron|лв|лева|bgn|ft|huf|forint|pln|грн|uah|tl|lira|kr)"
_CENTS = r"(?:[.,][0-9]{1,2})?"
_AMOUNT = rf"[1-9][0-9]{{0,2}}(?:[ \u00a0.,'’][0-9]{{3}})?(?:[ \u00a0.,'’]000)?{_CENTS}|[1-9][0-9]{{0,5}}(?:000)?{_CENTS}"
_AMOUNTS = re.compile(rf"(?:{_AMOUNT})(?![0-9])")
_CURRENCY_AFTER = re.compile(rf" ?{_CURRENCY}(?!{_LETTER})", re.IGNORECASE)
_CURRENCY_BEFORE = re.compile(rf"(?<!{_LETTER}){_CURRENCY} ?$", re.IGNORECASE)
_GROUP_BEFORE = re.compile(r"[0-9][ ./:\-]?$")
_THOUSANDS = r"[1-9][0-9]{0,2}[ \u00a0.,'’][0-9][05]0"

_NOT_PHONES = [
    # Dates with a year, which no chain of further groups belongs to.
    re.compile(rf"(?<![0-9]){_DAY}([./-] ?| ){_MONTH}\1{_YEAR}(?![0-9]|[./-][0-9])"),
    re.compile(rf"(?<![0-9])(?<![0-9][./-]){_YEAR}([./-] ?){_MONTH}\1{_DAY}(?![0-9]|[./-][0-9])"),
    # From day to day, from hour to hour.
    re.compile(_ALONE + _DAY_MONTH_YY.format(1) + _TO + _DAY_MONTH_YY.format(2) + _END),
    re.compile(_ALONE + _TIME + "(?:" + _TO + _TIME + ")?" + _END),
    re.compile(_ALONE + _WHOLE_HOUR_TIME + _TO + _WHOLE_HOUR_TIME + _END),
    # Amounts from … to …
    re.compile(rf"{_ALONE}{_THOUSANDS}{_TO}{_THOUSANDS}{_END}"),
]


def masked_phones(text: str, folded: str) -> str:
    """The text with the digits of phone numbers as zeros; ``folded`` is ``fold(text)``."""
    if sum(map(folded.count, "0123456789")) < LEAST_DIGITS - 2:  # two may be look-alikes
        return text
    searched = without_other_numbers(folded)
    chars = list(text)
    for start, end in _phones(searched):
        for place in range(start, end):
            if searched[place].isdigit() or chars[place] in DIGIT_LOOKALIKES:
                chars[place] = zero_like(chars[place])
    masked = "".join(chars)
    return text if masked == text else masked


def without_other_numbers(folded: str) -> str:
    """Dates, times and amounts of money as line feeds, which no number reaches across; the length stays."""
    if not any(map(folded.__contains__, "0123456789")):
        return folded
    for pattern in _NOT_PHONES:
        folded = pattern.sub(_blank, folded)
    return _AMOUNTS.sub(lambda found: _blank(found) if _is_money(found) else found[0], folded)


def _blank(found: re.Match[str]) -> str:
    return "\n" * len(found[0])


def _is_money(found: re.Match[str]) -> bool:
    """A currency stands before the amount, or behind it with no further group before it."""
    before = found.string[max(found.start() - 8, 0) : found.start()]
    if _CURRENCY_BEFORE.search(before):
        return True
    return bool(_CURRENCY_AFTER.match(found.string, found.end())) and not _GROUP_BEFORE.search(before)


def _phones(searched: str) -> Iterator[tuple[int, int]]:
    for run in _RUN.finditer(searched):
        groups = _groups(searched, run.start(), run.end())
        if sum(len(digits) for _, _, digits in groups) >= LEAST_DIGITS:
            yield from _phones_of_run(run[0], groups)
    for run in _WIDE_RUN.finditer(searched):
        groups = _groups(searched, run.start(), run.end())
        if _is_padded_phone(searched[max(run.start() - 2, 0) : run.start()], [digits for _, _, digits in groups]):
            yield run.span()


Group = tuple[int, int, str]


def _groups(searched: str, start: int, end: int) -> list[Group]:
    """Where each group of a run is, and its digits."""
    found = _GROUPS.finditer(searched, start, end)
    return [(g.start(), g.end(), "".join(d for c in g[0] if (d := DIGIT_LOOKALIKES.get(c, c)).isdigit())) for g in found]


def _phones_of_run(run: str, groups: list[Group]) -> Iterator[tuple[int, int]]:
    digits = [digits for _, _, digits in groups]
    if run[0] == "+" or (digits[0][0] == "0" and len(digits[0]) < 6) or len(digits) == 1:
        if run[0] == "+" or not _is_round(digits):
            yield groups[0][0], groups[-1][1]
        return
    if _is_list(digits):
        return
    first = 0
    while first < len(groups):
        last = _valid_until(digits, first)
        if last is not None:
            yield groups[first][0], groups[last][1]
            first = last
        elif digits[first][0] == "0" and sum(map(len, digits[first:])) >= LEAST_DIGITS:
            yield groups[first][0], groups[-1][1]
            return
        elif len(digits[first]) >= LEAST_DIGITS:
            yield groups[first][:2]
        first += 1


def _is_round(digits: list[str]) -> bool:
    """An unbroken amount such as 2500000."""
    return len(digits) == 1 and digits[0][0] != "0" and len(digits[0]) < 9 and digits[0].endswith("00000")


def _is_list(digits: list[str]) -> bool:
    """Prices, years or ages one after another, rather than a number in groups."""
    values = [int(group) for group in digits]
    if any(group[0] == "0" and len(group) > 1 and group != "000" for group in digits):
        return False
    rising = all(a < b for a, b in pairwise(values))
    prices = all(value % 5 == 0 for value in values) and (rising or len(values) > 3)
    thousands = len(digits) == 3 and len(digits[0]) < 4 and len(digits[1]) == 3 and digits[2] == "000"
    years = all(1900 <= value < 2100 for value in values)
    ages = rising and all(16 <= value < 100 for value in values)
    return prices or thousands or years or ages


def _valid_until(digits: list[str], first: int) -> int | None:
    """The last group of the longest valid number that starts with group ``first``."""
    number, valid = "", None
    for last in range(first, len(digits)):
        number += digits[last]
        if len(number) > MOST_DIGITS:
            break
        if len(number) >= LEAST_DIGITS and _is_valid(number):
            valid = last
    return valid


@lru_cache(maxsize=4096)
def _is_valid(number: str) -> bool:
    """Whether libphonenumber knows it as a number of one of the regions, or with a country code."""
    for text, region in [("+" + number, None), *((number, region) for region in _REGIONS)]:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _is_padded_phone(before: str, digits: list[str]) -> bool:
    """0 🌸 6 🌸 1 …: groups that start like a phone number, or many single digits that do not just count up."""
    if not LEAST_DIGITS < sum(map(len, digits)) <= 2 * MOST_DIGITS or max(map(len, digits)) > 4:
        return False
    if digits[0][0] == "0" or "+" in before:
        return True
    counts = [int(group) for group in digits]
    return max(map(len, digits)) == 1 and any(b - a != 1 for a, b in pairwise(counts))
