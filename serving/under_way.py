"""What the process holds for its callers at once: requests, and the bytes of their bodies. Beyond either it says "busy".

The line bounds what waits for the graph; this bounds what is before it: bodies that come slowly, lines of streams, requests that
wait for something else. (uvicorn's own ``limit_concurrency`` answers in plain text, and those who ask for its health likewise.)
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.problems import BUSY, ProblemError, problem_response

ALWAYS_TAKEN = frozenset({"/healthz", "/readyz", "/metrics"})


class Bodies:
    """The bytes of bodies that are held now, of all requests together.

    Args:
        most: bytes.
        retry_after: seconds, for those who are refused.
    """

    def __init__(self, most: int, retry_after: int) -> None:
        self.most, self.retry_after, self.held = most, retry_after, 0
        self.room = asyncio.Event()
        """Set while there is room: for those who can wait for it."""
        self.room.set()

    def add(self, size: int) -> None:
        """Count ``size`` bytes more, or fewer."""
        self.held += size
        if self.held < self.most:
            self.room.set()
        else:
            self.room.clear()


class Holding:
    """The bytes that one request holds of them."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies, self._size = bodies, 0

    def add(self, size: int) -> None:
        """Count ``size`` bytes more, or fewer, whether there is room or not."""
        self._size += size
        self.bodies.add(size)

    def check_room(self, size: int) -> None:
        """Return when there is room for so many bytes more.

        Raises:
            ProblemError: there is none (503).
        """
        if self.bodies.held + size > self.bodies.most:
            detail = f"As much is under way as the server holds at once: {self.bodies.most} bytes of bodies."
            raise ProblemError(BUSY, detail, headers={"Retry-After": str(self.bodies.retry_after)})

    @contextmanager
    def more(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes more meanwhile."""
        self.add(size)
        try:
            yield
        finally:
            self.add(-size)

    def end(self) -> None:
        """Give all back."""
        self.add(-self._size)


class UnderWay:
    """ASGI middleware: counts the requests that are under way, and leaves a ``holding`` in the state of each.

    Args:
        app: what is within.
        most: requests; one more is answered by 503. Those for health and figures are taken always.
        bodies: what bodies are counted in.
    """

    def __init__(self, app: ASGIApp, most: int, bodies: Bodies) -> None:
        self.app, self._most, self._bodies, self._requests = app, most, bodies, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_TAKEN:
            await self.app(scope, receive, send)
            return
        if self._requests >= self._most:
            detail = f"{self._requests} requests are under way; at most {self._most} may be."
            again = {"Retry-After": str(self._bodies.retry_after)}
            await problem_response(Request(scope), BUSY, detail, headers=again)(scope, receive, send)
            return
        holding = scope.setdefault("state", {})["holding"] = Holding(self._bodies)
        self._requests += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._requests -= 1
            holding.end()
