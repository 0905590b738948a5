"""How fast the graph threads are together, so that a caller can be told how long a wait would be."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

NEWS = 0.2
"""How much the last measurement counts."""
ENOUGH = 0.1
"""Seconds of work that one measurement takes."""


class Speed:
    """Tokens a second while any thread is at work. Thread-safe.

    Args:
        tokens_per_second: what is known before there is any work.
    """

    def __init__(self, tokens_per_second: float) -> None:
        self.tokens_per_second = tokens_per_second
        self._lock = threading.Lock()
        self._running = 0
        self._tokens = 0
        self._seconds = 0.0
        self._counted_until = 0.0

    @contextmanager
    def of(self, tokens: int) -> Iterator[None]:
        """A batch of so many tokens; one that fails is not counted."""
        with self._lock:
            self._count_time()
            self._running += 1
        done = 0
        try:
            yield
            done = tokens
        finally:
            with self._lock:
                self._count_time()
                self._running -= 1
                self._tokens += done
                if self._seconds >= ENOUGH and self._tokens:
                    self.tokens_per_second += NEWS * (self._tokens / self._seconds - self.tokens_per_second)
                    self._tokens, self._seconds = 0, 0.0

    def _count_time(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._seconds += now - self._counted_until
        self._counted_until = now
