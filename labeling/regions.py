"""Where a region that was marked in Label Studio is in the text.

Its editor counted UTF-16 units (as JavaScript does) until it went over to code points, which it stores now; seen with 1.23.2 in
a browser. A region also holds the words that were marked, so that is tried which makes them fit: code points, then UTF-16
units, then either with line ends as one character.
"""


def place_of(text: str, start: int, end: int, said: str | None) -> tuple[int, int] | None:
    """Where a region is in code points, or None; ``said`` is what Label Studio says the region's words are."""
    for utf16, joined in ((False, False), (True, False), (False, True), (True, True)):
        offsets = _offsets(text, utf16=utf16, joined=joined)
        if start not in offsets or end not in offsets or start >= end:
            continue
        place = offsets.index(start), offsets.index(end)
        if said is None or _spaced(text[slice(*place)]) == _spaced(said):
            return place
    return None


def _offsets(text: str, *, utf16: bool, joined: bool) -> list[int]:
    """For each place between characters, how it is counted: in UTF-16 units or code points; ``joined``: CR LF as one."""
    offsets = [0]
    for place, char in enumerate(text):
        width = 2 if utf16 and ord(char) > 0xFFFF else 1
        offsets.append(offsets[-1] + (0 if joined and text[place : place + 2] == "\r\n" else width))
    return offsets


def _spaced(words: str) -> str:
    """For comparison; Label Studio writes a line end as a backslash and an n in some versions."""
    return " ".join(words.replace("\\n", " ").split())
