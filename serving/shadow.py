"""Shadow scoring: the challenger reads a share of the champion's ads too, nobody gets its answers, and what differs is counted.

It is done after the caller was answered, one request at a time, and only while the challenger has nothing else to do; what would
have to wait is left out. Counts alone are kept, no text.
"""

import asyncio
import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.scores import Status
from serving.line import ScoringLine

if TYPE_CHECKING:
    from models.scores import AdScore, LabelScore

log = logging.getLogger("signaal.serve")

PATIENCE = 2.0
"""Seconds that a request may wait for the challenger."""


@dataclass(slots=True)
class Difference:
    """How challenger and champion differ in one label, over all ads that both scored."""

    ads: int = 0
    other_status: int = 0
    newly_present: int = 0
    no_longer_present: int = 0
    sum_of_shifts: float = 0.0
    """Of the absolute differences of their probabilities."""

    def add(self, champion: "LabelScore", challenger: "LabelScore") -> None:
        self.ads += 1
        self.other_status += champion.status is not challenger.status
        before, after = champion.status is Status.PRESENT, challenger.status is Status.PRESENT
        self.newly_present += after and not before
        self.no_longer_present += before and not after
        self.sum_of_shifts += abs(champion.probability - challenger.probability)


@dataclass(slots=True)
class Comparison:
    """What was found of one champion and one challenger."""

    ads: int = 0
    """Ads that both scored."""
    left_out: int = 0
    """Ads that were drawn but not scored, because the challenger was busy or failed."""
    differences: dict[str, Difference] = field(default_factory=dict)
    """By label, counter-indicators too."""

    def add(self, champion: "AdScore", challenger: "AdScore") -> None:
        self.ads += 1
        before = champion.indicators | champion.counter_indicators
        after = challenger.indicators | challenger.counter_indicators
        for label in before.keys() & after.keys():
            self.differences.setdefault(label, Difference()).add(before[label], after[label])


@dataclass
class Shadow:
    """Asks the challenger.

    Args:
        share: of the requests, 0 to 1.
    """

    share: float
    found: Comparison = field(default_factory=Comparison)
    """Since one of the two models last changed."""
    _task: "asyncio.Task[None] | None" = None

    def restart(self) -> None:
        """Begin to count anew: what was counted was of another pair of models."""
        self.found = Comparison()

    def consider(
        self,
        challenger: ScoringLine,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None,
        scores: "Sequence[AdScore]",
    ) -> None:
        """Perhaps score these ads with the challenger; returns at once. Arguments as in ``ScoringLine.score``, and its answer."""
        if random.random() >= self.share:  # noqa: S311 a sample, not a secret
            return
        if self._task is not None and not self._task.done():
            self.found.left_out += len(texts)
            return
        self._task = asyncio.create_task(_compare(challenger, texts, languages, labels, scores, self.found))


async def _compare(
    challenger: ScoringLine,
    texts: Sequence[str],
    languages: Sequence[str | None],
    labels: Collection[str] | None,
    scores: "Sequence[AdScore]",
    found: Comparison,
) -> None:
    try:
        others = await challenger.score(texts, languages, labels, evidence=False, patience=PATIENCE)
    except Exception as error:  # the caller has the champion's answer; its error may hold a text
        found.left_out += len(texts)
        log.debug("Shadow scoring left out %d ads (%s).", len(texts), type(error).__name__)
        return
    for champion, other in zip(scores, others, strict=True):
        found.add(champion, other)
