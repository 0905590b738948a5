"""What a caller tells beside the body: how long it will wait, and that it has gone."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from serving.errors import CallerLeftError

Result = TypeVar("Result")

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def patience_of(request: Request) -> float | None:
    """Seconds from ``Prefer: wait=10`` (RFC 7240); None when the caller does not say."""
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return float(found[1]) if found else None


async def unless_left(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``, which is cancelled when the caller goes before it is done. The body must have been read.

    Raises:
        CallerLeftError: nobody is there to be answered.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerLeftError("The caller left before the answer.")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
