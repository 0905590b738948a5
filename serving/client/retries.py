"""When to try again, and after how long.

Exponential back-off with full jitter (AWS Architecture Blog, "Exponential Backoff and Jitter", 2015): callers who failed
together do not come back together. A ``Retry-After`` is a lower bound: the jitter comes on top. One budget of seconds holds
for all tries of a call, so that a caller knows how long a call may take.
"""

import random
import time
from email.utils import parsedate_to_datetime

import httpx

from serving.client.errors import ClientError, NoAnswerError, ProblemResponse

FIRST_SECONDS = 0.25
LONGEST_SECONDS = 20.0
WORTH_A_RETRY = frozenset({429, 502, 503, 504})
"""502 and 504 are a proxy's words for "no connection" and "timeout"."""


class Retries:
    """The pauses between the tries of one call.

    Args:
        budget: seconds from now in which the last try must begin.
        longest: longest pause in seconds that is not asked for by ``Retry-After``.
        obedient: whether ``Retry-After`` counts.
    """

    def __init__(self, budget: float, longest: float = LONGEST_SECONDS, *, obedient: bool = True) -> None:
        self._until, self._longest, self._obedient = time.monotonic() + budget, longest, obedient
        self._failures = 0

    def pause_after(self, error: ClientError) -> float:
        """Seconds to wait before the next try.

        Raises:
            ClientError: ``error`` itself, when another try is of no use or would come too late.
        """
        least = 0.0
        if isinstance(error, ProblemResponse):
            if error.problem.status not in WORTH_A_RETRY:
                raise error
            least = (error.retry_after or 0.0) if self._obedient else 0.0
        elif not isinstance(error, NoAnswerError):
            raise error
        # Of use to nobody who guesses: not for secrets.
        pause = least + random.uniform(0, min(self._longest, FIRST_SECONDS * 2 ** min(self._failures, 30)))  # noqa: S311
        self._failures += 1
        left = self._until - time.monotonic()
        if least > left or left <= 0:
            raise error
        return min(pause, left)


def no_answer(error: httpx.TransportError) -> ClientError:
    """What httpx says, as an error of ours; its own message may hold parts of an answer and is left out."""
    kind = type(error).__name__
    if isinstance(error, httpx.TimeoutException | httpx.NetworkError | httpx.RemoteProtocolError):
        return NoAnswerError(f"No answer ({kind}). Is the service running, and is the address right?")
    return ClientError(f"The request could not be sent ({kind}). Check the address, and the proxy when there is one.")


def seconds_of(retry_after: str | None, now: str | None = None) -> float | None:
    """Seconds from a ``Retry-After``: a number, or an HTTP date, which counts from ``now`` (the answer's ``Date``), so that a
    wrong clock here does no harm. None when there is none that can be read."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after.strip()[:9])
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
        return max(0.0, until - (parsedate_to_datetime(now).timestamp() if now else time.time()))
    except ValueError:
        return None
