"""A stop in order: nothing new is taken, what waits is answered, and load balancers have time to see it.

uvicorn alone closes the port at the first signal, and whoever comes then is refused without a word.
"""

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import Request

from serving.errors import LineStoppedError

log = logging.getLogger("signaal.serve")

STILL_ANSWERED = frozenset({"/healthz", "/metrics"})


async def refuse_while_stopping(request: Request) -> None:
    """For every route: once ``app.state.stopping`` is set, it is not answered, unless it is one that tells of the process itself.

    Raises:
        LineStoppedError: the service is being stopped.
    """
    if request.app.state.stopping.is_set() and request.scope["route"].path not in STILL_ANSWERED:
        raise LineStoppedError("The service is being stopped. Send the request again; another may take it.")


class StoppingServer(uvicorn.Server):
    """uvicorn with a time between the signal and the end. A second signal ends it at once.

    Args:
        config: as for uvicorn.
        stopping: set at the first signal.
        stop: called then, in a thread: ends the lines when what waits is answered.
        drain_seconds: from SIGTERM until the port is closed; at Ctrl-C it is closed at once.
    """

    def __init__(self, config: uvicorn.Config, stopping: threading.Event, stop: Callable[[], None], drain_seconds: float) -> None:
        super().__init__(config)
        self._stopping, self._stop, self._drain_seconds = stopping, stop, drain_seconds
        self._signal: int | None = None
        self._close_at = 0.0
        self._ending: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self._signal is not None:
            super().handle_exit(sig, frame)
            return
        self._signal = sig
        self._close_at = time.monotonic() + (self._drain_seconds if sig == signal.SIGTERM else 0)
        self._stopping.set()

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second."""
        if self._signal is not None and self._ending is None:
            log.info("Stopping: nothing new is taken, what waits is answered.")
            self._ending = asyncio.create_task(asyncio.to_thread(self._stop))
        if self._signal is not None and time.monotonic() >= self._close_at and not self.should_exit:
            super().handle_exit(self._signal, None)
        return await super().on_tick(counter)
