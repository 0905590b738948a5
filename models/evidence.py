"""From evidence per token to spans of the original text."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.scores import EvidenceSpan
from models.windows import Window

JOIN_GAP = 2
"""Tokens below the threshold that do not break a span, so that a clause comes out whole."""


def evidence_spans(
    text: str, windows: Sequence[Window], evidence: Sequence[NDArray[np.float32]], threshold: float
) -> tuple[EvidenceSpan, ...]:
    """The words one label looked at in one text.

    Args:
        text: the original text.
        windows: its windows.
        evidence: for each window, the label's probability per token, [tokens].
        threshold: tokens at or above it are evidence. Where none is, the strongest token's word is given, so that a
            label that is present always shows what it looked at.

    Returns:
        Spans in order, not overlapping, whole words, without space at either end.
    """
    ranges: list[tuple[int, int]] = []
    strongest = (-1.0, 0, 0)
    for window, values in zip(windows, evidence, strict=True):
        open_range: tuple[int, int] | None = None
        gap = 0
        for start, end, value in zip(window.starts, window.ends, values, strict=False):
            if start < 0:
                continue
            strongest = max(strongest, (float(value), start, end))
            if value >= threshold:
                open_range = (open_range[0] if open_range else start, end)
                gap = 0
            elif open_range:
                gap += 1
                if gap > JOIN_GAP:
                    ranges.append(open_range)
                    open_range = None
        if open_range:
            ranges.append(open_range)
    if not ranges and strongest[0] >= 0:
        ranges.append(strongest[1:])
    return tuple(EvidenceSpan(start, end, text[start:end]) for start, end in _merged(_tidied(text, r) for r in ranges))


def _tidied(text: str, place: tuple[int, int]) -> tuple[int, int]:
    """Grow to whole words, then drop punctuation and space at the ends (all of it, unless nothing else is there)."""
    start, end = place
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
        end += 1
    inner_start, inner_end = start, end
    while inner_start < inner_end and _is_edge(text[inner_start]):
        inner_start += 1
    while inner_end > inner_start and _is_edge(text[inner_end - 1]):
        inner_end -= 1
    return (inner_start, inner_end) if inner_start < inner_end else (start, end)


def _is_edge(char: str) -> bool:
    return char.isspace() or char in ".,;:!?…\"'«»„“”‘’()[]-–—•*"


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
