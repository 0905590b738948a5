"""The line before the scorer: requests wait here, off the event loop, and one worker thread serves them.

One worker, because a scorer uses all cores by itself; more would only make each other slow. The line is bounded,
because a caller who hears "busy" at once can wait or go elsewhere, and one who waits for minutes cannot. What was given
up: requests are not put together into batches, so many small ones are slower than they could be.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.scores import AdScore
from serving.answers import ModelOut
from serving.errors import LineFullError, NotReadyError

if TYPE_CHECKING:
    from models.runtime import Scorer

log = logging.getLogger("signaal.serve")

PROBE_TEXT = "Kitchen help wanted, 16 hours a week, contract by collective agreement. Apply at the restaurant."


@dataclass(frozen=True, slots=True)
class _Job:
    texts: Sequence[str]
    languages: Sequence[str | None]
    labels: Collection[str] | None
    evidence: bool
    answer: "Future[list[AdScore]]"


class ScoringLine:
    """Loads a scorer, tries it on a probe text, then scores what comes, in order.

    Args:
        scorer_factory: makes the scorer; called once, in the worker thread.
        max_waiting: how many jobs may wait while one is scored.
        on_failure: called, in the worker thread, with the error when no scorer could be had.
    """

    def __init__(
        self,
        scorer_factory: "Callable[[], Scorer]",
        max_waiting: int,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self._factory = scorer_factory
        self._on_failure = on_failure
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._scorer: Scorer | None = None
        self._failed = False

    def start(self) -> None:
        """Begin to load, and return at once: a first start may fetch and build for minutes."""
        # A daemon: Ctrl-C during a long download must end the process.
        threading.Thread(target=self._work, name="signaal-scoring", daemon=True).start()

    def stop(self) -> None:
        """Let the worker end after the jobs that wait."""
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            log.warning("Stopped while requests were waiting.")

    @property
    def scorer(self) -> "Scorer":
        """The loaded scorer.

        Raises:
            NotReadyError: there is none (yet).
        """
        if self._scorer is not None:
            return self._scorer
        if self._failed:
            raise NotReadyError("The model could not be loaded; the service's log says why.")
        raise NotReadyError("The model is being loaded. Try again in a moment.")

    @property
    def model(self) -> ModelOut | None:
        """Identity of the loaded scorer; None while there is none."""
        return None if self._scorer is None else ModelOut.of(self._scorer.identity)

    async def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None = None,
        *,
        evidence: bool = True,
    ) -> list[AdScore]:
        """Wait in line, then score. A caller who leaves gives up the place.

        Raises:
            NotReadyError: there is no scorer (yet).
            LineFullError: too many wait already.
        """
        _ = self.scorer
        job = _Job(texts, languages, labels, evidence, Future())
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise LineFullError(f"{self._jobs.maxsize} requests wait already; try again later.") from None
        return await asyncio.wrap_future(job.answer)

    def _work(self) -> None:
        scorer = self._load()
        if scorer is None:
            return
        self._scorer = scorer
        while (job := self._jobs.get()) is not None:
            if not job.answer.set_running_or_notify_cancel():
                continue
            try:
                job.answer.set_result(scorer.score(job.texts, job.languages, labels=job.labels, evidence=job.evidence))
            except Exception as error:
                job.answer.set_exception(error)

    def _load(self) -> "Scorer | None":
        try:
            scorer = self._factory()
            scorer.score([PROBE_TEXT])
        except Exception as error:
            self._failed = True
            if isinstance(error, ModelError):
                log.error("No model: %s", error)
            else:
                log.exception("No model: an unforeseen error while loading it.")
            if self._on_failure:
                self._on_failure(error)
            return None
        log.info("Model %s %s is ready.", scorer.identity.name, scorer.identity.version)
        return scorer
