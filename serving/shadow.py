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


@dataclass
class Shadow:
    """What the comparison has found since one of the two models last changed.

    Args:
        share: of the requests, 0 to 1.
    """

    share: float
    differences: dict[str, Difference] = field(default_factory=dict)
    left_out: int = 0
    """Ads that were drawn but not scored, because the challenger was busy or failed."""
    _task: "asyncio.Task[None] | None" = None

    def restart(self) -> None:
        """Forget the counts: they were of another pair of models."""
        self.differences, self.left_out = {}, 0

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
            self.left_out += len(texts)
            return
        counts = self.differences
        self._task = asyncio.create_task(self._compare(challenger, texts, languages, labels, scores, counts))

    async def _compare(
        self,
        challenger: ScoringLine,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None,
        scores: "Sequence[AdScore]",
        counts: dict[str, Difference],
    ) -> None:
        try:
            others = await challenger.score(texts, languages, labels, evidence=False, patience=PATIENCE)
        except Exception as error:  # the caller has the champion's answer; its error may hold a text
            self.left_out += len(texts)
            log.debug("Shadow scoring left out %d ads (%s).", len(texts), type(error).__name__)
            return
        for champion, other in zip(scores, others, strict=True):
            for label in champion.indicators.keys() & other.indicators.keys():
                counts.setdefault(label, Difference()).add(champion.indicators[label], other.indicators[label])
