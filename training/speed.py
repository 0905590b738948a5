"""Speed of two scorers beside one another. Only the ratio means anything: other work on the machine slows both, so they take
turns within one run, text by text and round by round.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from models.runtime import Scorer

BULK_TEXTS = 64
SINGLE_TEXTS = 32
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians. ``*_ratio`` is B's figure over A's, of pairs measured one right after the other."""

    a_texts_per_second: float
    b_texts_per_second: float
    throughput_ratio: float
    a_milliseconds_alone: float
    """One text by itself."""
    b_milliseconds_alone: float
    latency_ratio: float


def measure_speed(a: Scorer, b: Scorer, texts: Sequence[str]) -> Speed:
    """Score a sample of the texts with both, in bulk and one by one, evidence and all."""
    bulk, single = _spread(texts, BULK_TEXTS), _spread(texts, SINGLE_TEXTS)
    for scorer in (a, b):
        scorer.score(bulk[:8])  # memory is taken at the first run
    rounds = [_pair(a, b, bulk, a_first=number % 2 == 0) for number in range(ROUNDS)]
    alone = [_pair(a, b, [text], a_first=number % 2 == 0) for number, text in enumerate(single)]
    return Speed(
        len(bulk) / statistics.median(of_a for of_a, _ in rounds),
        len(bulk) / statistics.median(of_b for _, of_b in rounds),
        statistics.median(of_a / of_b for of_a, of_b in rounds),
        1000 * statistics.median(of_a for of_a, _ in alone),
        1000 * statistics.median(of_b for _, of_b in alone),
        statistics.median(of_b / of_a for of_a, of_b in alone),
    )


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """Texts from all over the list, the same every time."""
    return list(texts[:: max(1, len(texts) // count)][:count])


def _pair(a: Scorer, b: Scorer, texts: list[str], *, a_first: bool) -> tuple[float, float]:
    """Seconds of A and of B."""
    if not a_first:
        of_b = _seconds(b, texts)
        return _seconds(a, texts), of_b
    return _seconds(a, texts), _seconds(b, texts)


def _seconds(scorer: Scorer, texts: list[str]) -> float:
    began = time.perf_counter()
    scorer.score(texts)
    return time.perf_counter() - began
