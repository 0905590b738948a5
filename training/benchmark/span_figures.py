"""Token-F1 of the words a label looked at against the spans of the data, for data that has spans.

Words, micro-averaged over all pairs of text and label in which the truth has spans or the label was wrongly given: so a
missed label costs recall and a wrong one precision. A label that is in the truth without a span is left out; so is a text that
has labels and no span at all, because nobody marked it, and what is right there could not count. A text without labels does
count: there is nothing to mark in it, and what is given there is wrong.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evidence import evidence_spans
from models.windows import WindowMaker
from training.benchmark.records import BenchmarkExample
from training.benchmark.task import Task
from training.benchmark.tokens import CHUNK, first_windows

log = logging.getLogger(__name__)

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
WITHOUT_SPANS = 0.5
"""Threshold where the validation split has no span to choose one by."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """One text and label: the words of the truth, and where the label looked, by threshold."""

    label: int
    wanted: frozenset[int]
    given: dict[float, frozenset[int]]


@dataclass(frozen=True)
class SpanFigures:
    """Token-F1 over all labels and by label (None, not measured, where no text has a span, or one of the label); what is
    evidence from ``threshold`` on."""

    token_f1: float | None
    labels: dict[str, float | None]
    threshold: float


Evidence = Iterable[tuple[int, NDArray[np.float32]]]
"""Row and evidence [tokens, labels], 0–1, of each text of a split, in any order."""


class SpanReader:
    """Compares where labels looked with the spans of a split."""

    def __init__(self, task: Task, maker: WindowMaker, examples: Sequence[BenchmarkExample], decided: NDArray[np.bool_]) -> None:
        """``decided`` is [texts, labels]: which labels were given."""
        self._task = task
        self._examples = examples
        self._decided = decided
        self._truth = task.matrix(examples)
        chunks = range(0, len(examples), CHUNK)
        self._windows = [w for start in chunks for w in first_windows(examples[start : start + CHUNK], maker)[0]]

    def best_threshold(self, evidence: Evidence) -> float:
        """Of ``THRESHOLDS``, the one with the best token-F1; for the validation split. ``WITHOUT_SPANS`` where it has no span."""
        pairs = list(self._pairs(evidence, THRESHOLDS))
        if not any(pair.wanted for pair in pairs):
            log.warning("Validation has no spans to choose a threshold by: words are evidence from %g on.", WITHOUT_SPANS)
            return WITHOUT_SPANS
        return max(THRESHOLDS, key=lambda threshold: _f1(pairs, threshold))

    def figures(self, evidence: Evidence, threshold: float) -> SpanFigures:
        """Token-F1 where tokens are evidence from ``threshold`` on."""
        pairs = list(self._pairs(evidence, (threshold,)))
        by_label: dict[str, float | None] = {}
        for column, label in enumerate(self._task.labels):
            by_label[label] = _measured([pair for pair in pairs if pair.label == column], threshold)
        return SpanFigures(_measured(pairs, threshold), by_label, threshold)

    def _pairs(self, evidence: Evidence, thresholds: Sequence[float]) -> Iterator[_Pair]:
        for row, values in evidence:
            example, window = self._examples[row], self._windows[row]
            if example.labels and not example.spans:
                continue
            words = [match.span() for match in re.finditer(r"\w+", example.text)]
            for column, label in enumerate(self._task.labels):
                gold = [(span.start, span.end) for span in example.spans if span.label == label]
                given = bool(self._decided[row, column])
                if not gold and (self._truth[row, column] or not given):
                    continue
                found = {t: evidence_spans(example.text, [window], [values[:, column]], t) if given else () for t in thresholds}
                touched = {t: _touched(words, [(span.start, span.end) for span in spans]) for t, spans in found.items()}
                yield _Pair(column, _touched(words, gold), touched)


def _touched(words: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> frozenset[int]:
    return frozenset(i for i, (start, end) in enumerate(words) if any(start < e and end > s for s, e in spans))


def _measured(pairs: Sequence[_Pair], threshold: float) -> float | None:
    return _f1(pairs, threshold) if any(pair.wanted for pair in pairs) else None


def _f1(pairs: Sequence[_Pair], threshold: float) -> float:
    """Of pairs of which at least one wants a word."""
    hits = sum(len(pair.wanted & pair.given[threshold]) for pair in pairs)
    return 2 * hits / sum(len(pair.wanted) + len(pair.given[threshold]) for pair in pairs)
