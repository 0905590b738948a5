"""What waits for the graph: windows of all callers, handed out in batches of like length.

The window that has waited longest sets the length, and those nearest in length fill the batch, up to the token budget and while
little of it is padding. So nobody waits for ever. While one batch runs the next one gathers; nothing is ever held
back to wait for company. Windows of the same tokens, whoever sent them, are one row.
"""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from models.runtime import RawScore, WindowScore
from models.scores import AdScore
from models.windows import Window

MOST_PADDING = 0.1
"""Share of a batch. With few waiting, a batch filled whatever their lengths is slower than no batches: of eight windows of ads of
all lengths, 40% would be padding. Where a batch costs 4.9 ms and a padded token 0.17 ms (2 cores, fp32), more than a tenth costs
more than a larger batch gains; what it gave is in docs/serving.md, Speed."""


@dataclass(eq=False, slots=True)
class Job:
    """Texts of one caller, on their way. ``deadline`` is when the caller no longer wants to begin; this and the other moments
    are those of ``time.monotonic``."""

    texts: Sequence[str]
    languages: Sequence[str | None]
    labels: Collection[str] | None
    evidence: bool
    deadline: float
    answer: "Future[list[AdScore]]" = field(default_factory=Future)
    windows: list[Window] = field(default_factory=list)
    scores: dict[int, WindowScore] = field(default_factory=dict)
    admitted: float = field(default_factory=time.monotonic)
    read: float | None = None
    begun: float | None = None
    """When the first of its windows went into the graph."""
    scored: float | None = None
    answered: float | None = None

    @property
    def is_complete(self) -> bool:
        return len(self.scores) == len(self.windows)

    def is_late(self, now: float) -> bool:
        """Its time is over, and no work was done for it."""
        return self.begun is None and now > self.deadline

    def stages(self) -> Iterator[tuple[str, float, float]]:
        """The stages it has been through: name, begin, end. Each ends where the next begins, so waits for a thread are within."""
        began = self.admitted
        for name, ended in (("read", self.read), ("queue", self.begun), ("graph", self.scored), ("answer", self.answered)):
            if ended is None:
                return
            yield name, began, ended
            began = ended

    def raw_scores(self) -> list[RawScore]:
        """One a text, from the scores of all its windows."""
        return [
            RawScore.of([self.windows[i] for i in places], [self.scores[i] for i in places]) for places in self._places_by_text()
        ]

    def windows_by_text(self) -> list[list[Window]]:
        """The windows of each text."""
        return [[self.windows[i] for i in places] for places in self._places_by_text()]

    def _places_by_text(self) -> list[list[int]]:
        of_text: list[list[int]] = [[] for _ in self.texts]
        for index, window in enumerate(self.windows):
            of_text[window.text_index].append(index)
        return of_text


@dataclass(eq=False, slots=True)
class Row:
    """One row of a batch, and who wants its score: jobs with the number of the window in them."""

    window: Window
    wanted_by: list[tuple[Job, int]]

    def __len__(self) -> int:
        return len(self.window)

    def give(self, score: WindowScore) -> list[Job]:
        """Hand the score out; returns the jobs that are complete now."""
        complete = []
        for job, index in self.wanted_by:
            job.scores[index] = score
            if job.is_complete:
                complete.append(job)
        return complete


class WindowQueue:
    """Windows that wait, by their tokens. Thread-safe.

    Args:
        token_budget: most tokens of a batch, padding included; a longer window is a batch of its own.
    """

    def __init__(self, token_budget: int) -> None:
        self._token_budget = token_budget
        self._rows: dict[tuple[int, ...], Row] = {}
        self._changed = threading.Condition()
        self._closed = False
        self.tokens = 0
        """How many tokens wait."""

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, job: Job) -> None:
        """Add the windows of a job."""
        with self._changed:
            for index, window in enumerate(job.windows):
                row = self._rows.get(key := tuple(window.ids))
                if row is None:
                    row = self._rows[key] = Row(window, [])
                    self.tokens += len(window)
                row.wanted_by.append((job, index))
            self._changed.notify(len(job.windows))

    def take(self) -> tuple[list[Row], list[Job]]:
        """Wait for windows; returns a batch, and the jobs that are too late and were dropped. Both are empty when the queue
        is closed and nothing waits."""
        with self._changed:
            while not self._rows and not self._closed:
                self._changed.wait()
            late = self._drop_unwanted()
            rows = list(self._rows.values())
            batch = nearest_in_length(rows, self._token_budget) if rows else []
            now = time.monotonic()
            for row in batch:
                self._remove(row)
                for job, _ in row.wanted_by:
                    job.begun = job.begun or now
            return batch, late

    def close(self) -> None:
        """``take`` gives what waits, and then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Closed, and nothing waits."""
        return self._closed and not self._rows

    def _drop_unwanted(self) -> list[Job]:
        now, late = time.monotonic(), set()
        for row in list(self._rows.values()):
            late |= {job for job, _ in row.wanted_by if job.is_late(now)}
            row.wanted_by = [(job, i) for job, i in row.wanted_by if not job.is_late(now) and not job.answer.done()]
            if not row.wanted_by:
                self._remove(row)
        return list(late)

    def _remove(self, row: Row) -> None:
        del self._rows[tuple(row.window.ids)]
        self.tokens -= len(row)


def nearest_in_length(rows: Sequence[Row], token_budget: int) -> list[Row]:
    """The first row, and of the others those nearest to it in length, as many as the budget and ``MOST_PADDING`` allow.

    Args:
        rows: at least one, the longest-waiting first.
        token_budget: most tokens, every row padded to the longest.
    """
    ordered = sorted(rows, key=len)
    below = above = next(place for place, row in enumerate(ordered) if row is rows[0])
    tokens = len(rows[0])

    def fits(row: Row, longest: int) -> bool:
        padded = longest * (above - below + 2)
        return padded <= token_budget and padded - tokens - len(row) <= MOST_PADDING * padded

    while True:
        longest = len(ordered[above])
        shorter = ordered[below - 1] if below > 0 and fits(ordered[below - 1], longest) else None
        longer = ordered[above + 1] if above + 1 < len(ordered) and fits(ordered[above + 1], len(ordered[above + 1])) else None
        if shorter is None and longer is None:
            return ordered[below : above + 1]
        if longer is None or (shorter is not None and longest - len(shorter) <= len(longer) - longest):
            assert shorter is not None
            below, tokens = below - 1, tokens + len(shorter)
        else:
            above, tokens = above + 1, tokens + len(longer)
