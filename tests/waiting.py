"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 30, what: str = "") -> None:
    """Return when it is true; fail when it is not in time, saying what was waited for."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what or 'what was waited for'}: not after {seconds:g} seconds"
        time.sleep(0.02)
