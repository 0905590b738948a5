r"""Inline markup: ``[[label|words]]`` becomes plain text and spans, so that nobody types an offset.

``[[a,b|words]]`` gives both labels the same words; brackets nest. A literal ``[[`` or ``]]`` is written ``\[[`` or ``\]]``.
"""

import re

from labeling.errors import MarkupError
from models.example import Span

_TOKEN = re.compile(r"\\(?P<escaped>\[\[|\]\])|\[\[(?P<labels>[a-z_, ]+)\||(?P<close>\]\])|(?P<bad>\[\[)")


def parse_markup(marked: str) -> tuple[str, list[Span]]:
    """Split marked text into plain text and spans (sorted by start, then end).

    Raises:
        MarkupError: a bracket is not closed, not opened, has no label, or marks nothing or only space.
    """
    plain: list[str] = []
    length = 0
    open_brackets: list[tuple[list[str], int, int]] = []
    spans: list[Span] = []
    position = 0
    for match in _TOKEN.finditer(marked):
        plain.append(marked[position : match.start()])
        length += match.start() - position
        position = match.end()
        if match["escaped"]:
            plain.append(match["escaped"])
            length += 2
        elif match["labels"]:
            labels = [label.strip() for label in match["labels"].split(",")]
            open_brackets.append((labels, length, match.start()))
        elif match["bad"]:
            raise MarkupError(f"column {match.start() + 1}: '[[' is not followed by 'label|'")
        else:
            if not open_brackets:
                raise MarkupError(f"column {match.start() + 1}: ']]' closes nothing")
            labels, start, column = open_brackets.pop()
            spans.extend(Span(start=start, end=length, label=label) for label in labels)
            words = "".join(plain)[start:length]
            if not words.strip():
                raise MarkupError(f"column {column + 1}: nothing is marked")
            if words != words.strip():
                raise MarkupError(f"column {column + 1}: the span begins or ends with a space")
    if open_brackets:
        raise MarkupError(f"column {open_brackets[-1][2] + 1}: '[[' is not closed")
    plain.append(marked[position:])
    return "".join(plain), sorted(set(spans), key=lambda span: (span.start, span.end, span.label))
