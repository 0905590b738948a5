"""Progress of long work: a bar on a terminal, a line now and then where the output goes to a file.

Only one bar at a time fits a terminal, so of two loops within one another the inner one has the bar and the outer one logs.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)

T = TypeVar("T")
LINE_EVERY = 30.0
"""Seconds between lines."""


def with_progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items one by one; on standard error how many are done and, off a terminal, how long the rest will take.

    Args:
        items: parts of the work, of about the same size.
        what: is done, as in "Scoring".
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, description=what, console=console, transient=True)
        return
    began = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - told >= LINE_EVERY:
            left = timedelta(seconds=round((now - began) / done * (len(items) - done)))
            log.info("%s: %d%% done, about %s left.", what, 100 * done // len(items), left)
            told = now
        yield item
