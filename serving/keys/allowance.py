"""What one caller may still have scored, and send as feedback. Made for each request, and asked for each line of a stream."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from serving.errors import CallerLeftError, LineStoppedError
from serving.keys.guard import Guard
from serving.keys.limits import DAY, MINUTE, TokenBucket, policy_header, seconds_until_midnight, state_header
from serving.keys.secret import Presented
from serving.keys.store import Key
from serving.problems import QUOTA_USED_UP, TOO_MANY_REQUESTS, ProblemError

LOOK_SECONDS = 0.5
"""How often one who waits for the minute looks whether to go on waiting."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Ads that were taken off a key's limits, on ``day``; its parts are None where there is no such limit."""

    key: Key
    ads: int
    bucket: TokenBucket | None
    day: date | None


class Allowance:
    """The limits of the key that came with a request.

    Args:
        guard: knows the keys.
        shown: the key. It is checked anew each time, since a stream may outlive it.
    """

    def __init__(self, guard: Guard, shown: Presented) -> None:
        self._guard, self._shown = guard, shown
        self._left: dict[str, tuple[int, float]] = {}
        self.headers: dict[str, str] = {}
        """For the answer: the limits of the key, and what is left of them once something was spent."""

    async def key(self) -> Key:
        """The key, while it is good; raises as ``Guard.verify``."""
        key = await self._guard.verify(self._shown)
        self.headers |= policy_header(key.ads_per_minute, key.ads_per_day)
        return key

    async def take(self, ads: int, wait_until: Callable[[], bool] | None = None) -> Taking:
        """Take ads off the limits, all of them or none.

        Args:
            ads: how many are to be scored.
            wait_until: when it is too many for this minute, wait instead of failing, but no longer than until this is true.

        Raises:
            ProblemError: too many for this minute or this day, or the key is good no more.
            LineStoppedError: ``wait_until`` became true.
        """
        key, bucket = await self._take_of_minute(ads, wait_until)
        try:
            return Taking(key, ads, bucket, await self._take_of_day(key, ads))
        except ProblemError:
            self._give_back_of_minute(ads, bucket)
            raise

    async def give_back(self, taking: Taking) -> None:
        """Undo ``take``, for ads that were not scored. If the database does not answer, the day's stay taken, as the log says."""
        self._give_back_of_minute(taking.ads, taking.bucket)
        if taking.day is not None:
            with suppress(ProblemError):
                await self._guard.ask(self._guard.store.give_back, taking.key.id, taking.day, taking.ads)
                left, rest = self._left[DAY]
                self._tell(DAY, left + taking.ads, rest)

    async def _take_of_minute(self, ads: int, wait_until: Callable[[], bool] | None) -> tuple[Key, TokenBucket | None]:
        key = await self.key()
        while (bucket := self._guard.bucket_of(key)) is not None and (seconds := bucket.take(ads)) > 0:
            if wait_until is None:
                self._tell(MINUTE, bucket.remaining, seconds)
                detail = f"This key may send {bucket.per_minute} ads a minute; wait {math.ceil(seconds)} s for {ads}."
                raise ProblemError(TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(math.ceil(seconds))})
            if wait_until():
                raise LineStoppedError("The service is being stopped.")
            await asyncio.sleep(min(seconds, LOOK_SECONDS))
            key = await self.key()
        if bucket is not None:
            self._tell(MINUTE, bucket.remaining, bucket.seconds_until_full)
        return key, bucket

    async def _take_of_day(self, key: Key, ads: int) -> date | None:
        if key.ads_per_day is None:
            return None
        now = datetime.now(UTC)
        rest = seconds_until_midnight(now)
        taken = await self._guard.ask(self._guard.store.take, key.id, now.date(), ads, key.ads_per_day)
        self._tell(DAY, left := max(0, key.ads_per_day - taken.used), rest)
        if not taken.ok:
            detail = f"This key may send {key.ads_per_day} ads a day; until midnight UTC {left} are left, and not {ads}."
            raise ProblemError(QUOTA_USED_UP, detail, headers={"Retry-After": str(rest)})
        return now.date()

    def _give_back_of_minute(self, ads: int, bucket: TokenBucket | None) -> None:
        if bucket is not None:
            bucket.give_back(ads)
            self._tell(MINUTE, bucket.remaining, bucket.seconds_until_full)

    def _tell(self, limit: str, left: int, seconds: float) -> None:
        self._left[limit] = (left, seconds)
        self.headers |= state_header(self._left)


@asynccontextmanager
async def spending(allowance: Allowance | None, ads: int) -> AsyncIterator[None]:
    """Take ads off a caller's limits for what is done meanwhile. If that fails, they are given back; a caller who leaves gets
    nothing back, since the work was begun.

    Args:
        allowance: the caller's; None where no key is needed, and nothing is limited.
        ads: how many are to be scored, or items of feedback to be stored.

    Raises:
        ProblemError: too many for this minute or this day, or the key is good no more.
    """
    if allowance is None:
        yield
        return
    taking = await allowance.take(ads)
    try:
        yield
    except CallerLeftError:
        raise
    except Exception:
        await allowance.give_back(taking)
        raise
