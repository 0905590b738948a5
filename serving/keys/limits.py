"""How many ads a key may send, to be scored or as feedback: a minute (counted in this process), a day (counted in the database).

What an answer says of it follows draft-ietf-httpapi-ratelimit-headers-11, but that the unit is ``ads``: the draft knows
requests and bytes, and neither would be true.
"""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

MINUTE, DAY = "ads-per-minute", "ads-per-day"


class TokenBucket:
    """``per_minute`` ads a minute on average, and as many at once after a minute of rest.

    A request of more ads than that passes when the bucket is full, and the debt is waited off afterwards; otherwise it could
    never pass.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._tokens, self._as_of = float(per_minute), clock()

    def take(self, ads: int) -> float:
        """0.0 when the ads were taken, else how many seconds it is until they can be."""
        self._refill()
        missing = min(ads, self.per_minute) - self._tokens
        if missing > 0:
            return missing * 60 / self.per_minute
        self._tokens -= ads
        return 0.0

    def give_back(self, ads: int) -> None:
        """Undo ``take``, for ads that were not scored."""
        self._refill()
        self._tokens = min(self._tokens + ads, self.per_minute)

    @property
    def remaining(self) -> int:
        """Ads that could be taken at once now."""
        self._refill()
        return max(0, math.floor(self._tokens))

    @property
    def seconds_until_full(self) -> float:
        self._refill()
        return (self.per_minute - self._tokens) * 60 / self.per_minute

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._as_of) * self.per_minute / 60, self.per_minute)
        self._as_of = now


def seconds_until_midnight(now: datetime) -> int:
    """Until the day ends in UTC, at least 1."""
    now = now.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(1, math.ceil((midnight - now).total_seconds()))


def policy_header(per_minute: int | None, per_day: int | None) -> Mapping[str, str]:
    """``RateLimit-Policy``; nothing when there is no limit."""
    limits = ((MINUTE, per_minute, 60), (DAY, per_day, 86_400))
    policies = [f'"{name}";q={limit};qu="ads";w={window}' for name, limit, window in limits if limit is not None]
    return {"RateLimit-Policy": ", ".join(policies)} if policies else {}


def state_header(state: Mapping[str, tuple[int, float]]) -> Mapping[str, str]:
    """``RateLimit``: per policy how many ads are left, and for how many seconds that holds; nothing when none is known."""
    items = [f'"{name}";r={left};t={math.ceil(seconds)}' for name, (left, seconds) in state.items()]
    return {"RateLimit": ", ".join(items)} if items else {}
