"""A text cut at the ends of its spans, for pages that show marks without a script. The template escapes every piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from labeling.web.review_keys import key_of
from models.example import Span
from models.taxonomy import packaged_taxonomy


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring characters with the same labels. ``keys`` are those of the spans that end here."""

    text: str
    labels: tuple[str, ...]
    kind: str
    keys: str


def pieces(text: str, spans: Sequence[Span]) -> list[Piece]:
    """The whole text in order. Spans are in code points, and may overlap."""
    cuts = sorted({0, len(text), *(place for span in spans for place in (span.start, span.end))})
    indicators = packaged_taxonomy().indicator_ids
    found = []
    for start, end in pairwise(cuts):
        labels = tuple(dict.fromkeys(span.label for span in spans if span.start <= start and span.end >= end))
        ending = dict.fromkeys(span.label for span in spans if span.end == end and span.label in labels)
        kind = "indicator" if any(label in indicators for label in labels) else "counter"
        found.append(Piece(text[start:end], labels, kind, " ".join(map(key_of, ending))))
    return found
