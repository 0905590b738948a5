"""The line before a scorer: requests go in, and their ads go through threads, so that all cores are at work.

Reading (normalise, tokenise) and answering (calibrate, cut out evidence, detect the language) have a thread each. Between them
are as many graph threads as the device takes batches at a time (``models.graph_sessions``: one a core, or one for a GPU), and
``WindowQueue`` puts windows of all callers together into their batches. The line is bounded in ads and in time: a caller who
hears "busy" at once can wait or go elsewhere, and one who waits for minutes cannot.
"""

import asyncio
import logging
import math
import queue
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serving.batching import Job, Row, WindowQueue
from serving.errors import LineFullError, LineStoppedError, NotReadyError
from serving.line_observer import LineObserver
from serving.speed import Speed

if TYPE_CHECKING:
    from models.runtime import Scorer
    from models.scores import AdScore

log = logging.getLogger("signaal.serve")

PROBE_TEXT = "Kitchen help wanted, 16 hours a week, contract by collective agreement. Apply at the restaurant."
TOKENS_PER_CHARACTER = 0.3
"""For what is not read yet; about what the corpus has."""


class ScoringLine:
    """Scores what comes, in batches.

    Args:
        scorer: tried on a probe text when the line is made.
        max_ads: how many ads may wait.
        max_seconds: how long a caller may have to wait for the turn, by the line's own estimate.
        observer: told what happens; one that nobody reads when None.
        stuck_seconds: how long a thread may be at one batch (or at the reading or answering of one request).

    Raises:
        Exception: whatever the scorer raises on the probe text.
    """

    def __init__(
        self,
        scorer: "Scorer",
        max_ads: int,
        max_seconds: float,
        observer: LineObserver | None = None,
        stuck_seconds: float = math.inf,
    ) -> None:
        self.scorer = scorer
        self.observer = observer or LineObserver(scorer)
        self.max_ads, self.max_seconds, self.stuck_seconds = max_ads, max_seconds, stuck_seconds
        self._unread: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._windows = WindowQueue(scorer.runner.token_budget)
        self._complete: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._inside: set[Job] = set()
        self._unread_characters = 0
        self._stopped = False
        self.failed_batches = 0
        """How many batches of one window have failed since one worked; a larger one that fails is tried a window at a time."""
        self._lock = threading.Lock()
        self._graph_threads = scorer.runner.callers
        self._speed = Speed(_measured_speed(scorer))
        graphs = [(f"graph-{number}", self._run) for number in range(self._graph_threads)]
        # Daemons: Ctrl-C must be able to end the process.
        self._threads = [
            threading.Thread(target=work, name=f"signaal-{name}", daemon=True)
            for name, work in (("read", self._read), *graphs, ("answer", self._answer))
        ]
        self._busy_since: dict[str, float | None] = {thread.name: None for thread in self._threads}
        """When each thread began what it is at, by ``time.monotonic``; None while it waits."""
        for thread in self._threads:
            thread.start()

    async def score(
        self,
        texts: Sequence[str],
        languages: Sequence[str | None],
        labels: Collection[str] | None = None,
        *,
        evidence: bool = True,
        patience: float | None = None,
    ) -> "list[AdScore]":
        """Wait in line, then score. A caller who leaves gives up the place.

        Args:
            texts: ads as they are.
            languages: as in ``Scorer.score``.
            labels: as in ``Scorer.score``.
            evidence: as in ``Scorer.score``.
            patience: seconds after which the caller no longer wants the work begun; the line's own when None or longer.

        Raises:
            LineFullError: too many wait already, or the turn would come (or came) too late.
            LineStoppedError: the line takes nothing more.
            NotReadyError: the line is broken.
        """
        patience = min(self.max_seconds if patience is None else patience, self.max_seconds)
        job = Job(texts, languages, labels, evidence, deadline=time.monotonic() + patience)
        self._admit(job, patience)
        try:
            return await asyncio.wrap_future(job.answer)
        finally:
            with self._lock:
                self._inside.discard(job)
            self.observer.left(job)

    @property
    def waiting_ads(self) -> int:
        """Ads that were taken and are not answered."""
        with self._lock:
            return sum(len(job.texts) for job in self._inside)

    @property
    def waiting_tokens(self) -> int:
        """Tokens that are read and wait for the graph."""
        return self._windows.tokens

    @property
    def has_died(self) -> bool:
        """Whether a thread has ended by an error that nobody foresaw, and not by ``stop``."""
        return not self._stopped and not all(thread.is_alive() for thread in self._threads)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread has been at one piece of work for longer than ``stuck_seconds``."""
        now = time.monotonic()
        return any(since is not None and now - since > self.stuck_seconds for since in self._busy_since.values())

    @property
    def expected_wait(self) -> float:
        """Seconds until all that waits now is through the graph, as far as can be told."""
        tokens = self._windows.tokens + self._unread_characters * TOKENS_PER_CHARACTER
        return tokens / self._speed.tokens_per_second

    def stop(self, patience: float = 10) -> None:
        """Answer what waits, take nothing more, and end the threads; returns when they have ended, or after so many seconds."""
        with self._lock:
            self._stopped = True
            self._unread.put(None)
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            log.warning("%d ads still wait %g s after the line was told to stop.", self.waiting_ads, patience)

    def _admit(self, job: Job, patience: float) -> None:
        wait = self.expected_wait
        with self._lock:
            if self._stopped:
                raise LineStoppedError("The service is being stopped.")
            if self.has_died:
                raise NotReadyError("A thread of the scoring line has ended; the service must be started again.")
            waiting = sum(len(other.texts) for other in self._inside)
            if waiting and waiting + len(job.texts) > self.max_ads:
                raise LineFullError(f"{waiting} ads wait already; at most {self.max_ads} may.", _seconds(wait / 2))
            if wait > patience:
                detail = f"The wait would be about {wait:.0f} s, longer than the {patience:g} s that are allowed."
                raise LineFullError(detail, _seconds(wait - patience))
            self._inside.add(job)
            self._unread_characters += sum(map(len, job.texts))
            self._unread.put(job)

    def _read(self) -> None:
        maker = self.scorer.runner.window_maker
        while (job := self._unread.get()) is not None:
            if not job.answer.done():
                with self._busy(), self._errors_go_to(job):
                    job.windows = maker.windows(job.texts)
                    job.read = time.monotonic()
                    self._windows.put(job)
            with self._lock:
                self._unread_characters -= sum(map(len, job.texts))
        self._windows.close()

    def _run(self) -> None:
        try:
            while not self._windows.is_over:
                rows, late = self._windows.take()
                for job in late:
                    self._fail(job, LineFullError("The turn did not come in the time allowed.", _seconds(self.expected_wait)))
                if rows:
                    self._score(rows)
        finally:
            with self._lock:
                self._graph_threads -= 1
                if not self._graph_threads:  # the last one out
                    self._complete.put(None)

    def _score(self, rows: list[Row]) -> None:
        try:
            with self._speed.of(sum(map(len, rows))):
                self._forward(rows)
        except Exception as error:  # nobody foresaw it: the thread ends, and nobody must wait for it
            for row in rows:
                self._fail_all(row, error)
            raise

    def _forward(self, rows: list[Row]) -> None:
        began = time.perf_counter()
        try:
            with self._busy():
                scores = self.scorer.runner.forward([row.window for row in rows])
        except Exception as error:
            self.observer.batch_failed()
            if len(rows) == 1:
                with self._lock:
                    self.failed_batches += 1
                self._fail_all(rows[0], error)
            else:  # one caller's text must not cost another's
                for row in rows:
                    self._forward([row])
            return
        self.observer.batch_done(rows, time.perf_counter() - began)
        with self._lock:  # a job's windows may come back from several threads
            self.failed_batches = 0
            complete = [job for row, score in zip(rows, scores, strict=True) for job in row.give(score)]
        for job in complete:
            job.scored = time.monotonic()
            self._complete.put(job)

    def _answer(self) -> None:
        while (job := self._complete.get()) is not None:
            with self._busy(), self._errors_go_to(job):
                answers = [
                    self.scorer.answer(text, raw, language, labels=job.labels, evidence=job.evidence)
                    for text, raw, language in zip(job.texts, job.raw_scores(), job.languages, strict=True)
                ]
                job.answered = time.monotonic()
                self.observer.answered(job, answers)
                if job.answer.set_running_or_notify_cancel():
                    job.answer.set_result(answers)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        thread = threading.current_thread().name
        self._busy_since[thread] = time.monotonic()
        try:
            yield
        finally:
            self._busy_since[thread] = None

    @contextmanager
    def _errors_go_to(self, job: Job) -> Iterator[None]:
        """An error ends the job, and not the thread: the next request must be served."""
        try:
            yield
        except Exception as error:
            self._fail(job, error)

    def _fail_all(self, row: Row, error: Exception) -> None:
        for job, _ in row.wanted_by:
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        with self._lock:  # two of its windows may fail at once
            if not job.answer.done() and job.answer.set_running_or_notify_cancel():
                job.answer.set_exception(error)


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait))


def _measured_speed(scorer: "Scorer") -> float:
    """Tokens a second of probe texts, as many batches of them as the device takes at a time, after as many for warming up."""
    callers = scorer.runner.callers
    scorer.score([PROBE_TEXT])
    windows = scorer.runner.window_maker.windows([PROBE_TEXT] * 4)
    for _ in range(2):
        began = time.perf_counter()
        list(scorer.runner.forward_all([windows] * callers))
    return callers * sum(map(len, windows)) / (time.perf_counter() - began)
