"""What one caller may still have scored, and send as feedback. Made for each request, and asked for each line of a stream."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from serving.errors import CallerLeftError, LineStoppedError
from serving.keys.guard import Guard
from serving.keys.limits import DAY, MINUTE, policy_header, seconds_until_midnight, state_header
from serving.keys.secret import Presented
from serving.keys.store import Key
from serving.problems import QUOTA_USED_UP, TOO_MANY_REQUESTS, ProblemError

LOOK_SECONDS = 0.5
"""How often one who waits for the minute looks whether the service is being stopped."""


class Allowance:
    """The limits of the key that came with a request.

    Args:
        guard: knows the keys.
        shown: the key. It is checked anew each time, since a stream may outlive it.
    """

    def __init__(self, guard: Guard, shown: Presented) -> None:
        self._guard, self._shown = guard, shown
        self._turns = asyncio.Lock()
        self._left: dict[str, tuple[int, float]] = {}
        self.headers: dict[str, str] = {}
        """For the answer: the limits of the key, and what is left of them once something was spent."""

    async def key(self) -> Key:
        """The key, while it is good; raises as ``Guard.verify``."""
        key = await self._guard.verify(self._shown)
        self.headers |= policy_header(key.ads_per_minute, key.ads_per_day)
        return key

    @asynccontextmanager
    async def of_minute(self, ads: int, wait_until: threading.Event | None) -> AsyncIterator[Key]:
        """Take ads off the minute's limit; see ``spending``."""
        async with self._turns:
            key = await self.key()
            while (bucket := self._guard.bucket_of(key)) is not None and (seconds := bucket.take(ads)) > 0:
                if wait_until is None:
                    self._tell(MINUTE, bucket.remaining, seconds)
                    detail = f"This key may send {bucket.per_minute} ads a minute; wait {math.ceil(seconds)} s for {ads}."
                    raise ProblemError(TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(math.ceil(seconds))})
                if wait_until.is_set():
                    raise LineStoppedError("The service is being stopped.")
                await asyncio.sleep(min(seconds, LOOK_SECONDS))
                key = await self.key()
        if bucket is None:
            yield key
            return
        self._tell(MINUTE, bucket.remaining, bucket.seconds_until_full)
        try:
            yield key
        except CallerLeftError:
            raise
        except Exception:
            bucket.give_back(ads)
            self._tell(MINUTE, bucket.remaining, bucket.seconds_until_full)
            raise

    @asynccontextmanager
    async def of_day(self, key: Key, ads: int) -> AsyncIterator[None]:
        """Take ads off the day's limit; see ``spending``."""
        if key.ads_per_day is None:
            yield
            return
        now = datetime.now(UTC)
        rest = seconds_until_midnight(now)
        taken = await self._guard.ask(self._guard.store.take, key.id, now.date(), ads, key.ads_per_day)
        self._tell(DAY, left := max(0, key.ads_per_day - taken.used), rest)
        if not taken.ok:
            detail = f"This key may send {key.ads_per_day} ads a day; until midnight UTC {left} are left, and not {ads}."
            raise ProblemError(QUOTA_USED_UP, detail, headers={"Retry-After": str(rest)})
        try:
            yield
        except CallerLeftError:
            raise
        except Exception:
            await self._guard.ask(self._guard.store.give_back, key.id, now.date(), ads)
            self._tell(DAY, left + ads, rest)
            raise

    def _tell(self, limit: str, left: int, seconds: float) -> None:
        self._left[limit] = (left, seconds)
        self.headers |= state_header(self._left)


@asynccontextmanager
async def spending(allowance: Allowance | None, ads: int, wait_until: threading.Event | None = None) -> AsyncIterator[None]:
    """Take ads off a caller's limits for what is done meanwhile. If that fails, they are given back; a caller who leaves gets
    nothing back, since the work was begun.

    Args:
        allowance: the caller's; None where no key is needed, and nothing is limited.
        ads: how many are to be scored, or items of feedback to be stored.
        wait_until: wait in turn when it is too many for this minute, instead of failing, but no longer than until this is set.

    Raises:
        ProblemError: too many for this minute or this day, or the key is good no more.
        LineStoppedError: ``wait_until`` was set while it waited.
    """
    if allowance is None:
        yield
        return
    async with allowance.of_minute(ads, wait_until) as key, allowance.of_day(key, ads):
        yield
