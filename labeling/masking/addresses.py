"""E-mail addresses, handles and links; letters become x and digits 0, signs between them stay."""

import re

from labeling.masking.folding import lowered, zero_like

# Patterns are for text in lower case, but for those of links without http, in which case tells an ending from a sentence.
# As the languages say @ and the dot.
_AT_WORD = "at|aet|arroba|kukac|ma[lł]pa|chiocciola|apenstaartje|apestaartje|klammeraffe|кльомба|маймуна|собака"
_DOT_WORD = "dot|punt|punkt|point|punto|ponto|kropka|punct|pont|nokta|точка|крапка"
_AT = rf"@| @ | ?[\[({{<] ?(?:@|{_AT_WORD}|et) ?[\])}}>] ?| (?:{_AT_WORD}) "
_DOT = rf"\.| ?[\[({{<] ?(?:\.|{_DOT_WORD}) ?[\])}}>] ?| (?:{_DOT_WORD}) "
_EMAIL = re.compile(
    rf"(?<![\w.+\-])[^\W_][\w.+\-]*(?:{_AT})[\w\-]+(?:(?:{_DOT})[\w\-]+)*(?:{_DOT})[^\W\d_]{{2,}}",
)
_KEPT = re.compile(rf"[\[({{< ](?:@|{_AT_WORD}|et|{_DOT_WORD})[\])}}> ]")
"""Words that stand for @ and dot, which show the disguise."""
_HANDLE = re.compile(r"(?<![\w.])@[\w.\-]*\w")
_APPS = (
    *(
        "insta",
        "instagram",
        "ig",
        "telegram",
        "tg",
        "snap",
        "snapchat",
        "whatsapp",
        "whats app",
        "viber",
        "signal",
        "skype",
        "kik",
    ),
    *(
        "tiktok",
        "facebook",
        "fb",
        "messenger",
        "wechat",
        "discord",
        "onlyfans",
        "threads",
        "инстаграм",
        "телеграм",
        "вайбер",
        "скайп",
    ),
)
_APP = re.compile(rf"(?<![^\W_])(?:{'|'.join(_APPS)})[ :=\-–>]{{1,4}}(?:id[ :]{{1,2}})?")
_UNCOMMON_WORD = re.compile(r"(?=[\w.\-]*(?:[^\W\d_][\d_]|_[^\W_]|[^\W_]\.[^\W_]|\d[^\W\d_]))[\w.\-]*\w")
"""After an app's name this is a handle: no ordinary word has a digit, an underscore or a dot inside."""
_URL = re.compile(r"(?P<kept>https?://|www\.)[^\s<>\"“”()\[\]]+")
_TLD = (
    "com|org|net|info|biz|eu|nl|be|de|at|ch|fr|es|pt|it|pl|ro|md|hu|bg|ua|tr|ru|cz|sk|gr|uk|ie|io|me|app|site|online|link|page|xyz|"
    "shop|jobs|gl|ly|gg|bio"
)
_PLAIN_TLD = r"com|org|info|biz|eu|nl|fr|pt|pl|ro|hu|bg|ua|uk|cz|xyz"
"""Endings that are no word, so that a forgotten space after a full stop does not make a link."""
_DOMAIN = re.compile(
    rf"(?<![\w@.\-])(?:[^\W_][\w\-]*\.)+(?:(?:{_TLD})/[^\s<>\"“”()\[\]]+|(?:{_PLAIN_TLD})(?![\w\-]|\.\w))"
    rf"|(?<![\w@.\-])(?=\w*-)[^\W_][\w\-]*\.(?:{_TLD})(?![\w\-]|\.\w)"
)

_DOT_AND_LETTER = re.compile(r"\.[a-z]")
"""What every such link has, and few ads."""


def masked_addresses(text: str, folded: str) -> str:
    """The text with addresses masked; ``folded`` is ``fold(text)``."""
    chars, lower = list(text), lowered(folded)
    if "@" in lower or _KEPT.search(lower):
        for found in _EMAIL.finditer(lower):
            start = found.start()
            for kept in _KEPT.finditer(lower, *found.span()):
                _mask(folded, chars, start, kept.start())
                start = kept.end()
            _mask(folded, chars, start, found.end())
        for found in _HANDLE.finditer(lower):
            _mask(folded, chars, *found.span())
    if "://" in lower or "www." in lower:
        for found in _URL.finditer(lower):
            _mask(folded, chars, found.end("kept"), found.end())
    if _DOT_AND_LETTER.search(folded):
        for found in _DOMAIN.finditer(folded):
            _mask(folded, chars, *found.span())
    if any(map(lower.__contains__, _APPS)):
        for app in _APP.finditer(lower):
            if handle := _UNCOMMON_WORD.match(folded, app.end()):
                _mask(folded, chars, *handle.span())
    masked = "".join(chars)
    return text if masked == text else masked


def _mask(folded: str, chars: list[str], start: int, end: int) -> None:
    for place in range(start, end):
        if folded[place].isdigit():
            chars[place] = zero_like(chars[place])
        elif chars[place].isalpha():
            chars[place] = "x"
