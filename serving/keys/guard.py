"""Whether a key that somebody shows is good.

A key that was found good is taken for good for a few seconds more without asking the database, so that a check costs next to
nothing. Within that time a revocation is not noticed; an expiry is.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

from serving.errors import KeyStoreError
from serving.keys.limits import TokenBucket
from serving.keys.secret import Presented
from serving.keys.store import Key, KeyStore, accepts
from serving.problems import KEYS_UNAVAILABLE, NO_VALID_KEY, ProblemError

log = logging.getLogger("signaal.serve")

GOOD_FOR_SECONDS = 5.0
RETRY_AFTER_SECONDS = 5

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Guard:
    """Checks keys and keeps what this process knows of them. For one event loop.

    Args:
        store: the keys.
        clock: seconds, as ``time.monotonic``.
    """

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self._clock = store, clock
        # By the hash of the whole key: who has only the id of a good key waits as long as who made one up.
        self._found_good: dict[str, tuple[Key, float]] = {}
        self._buckets: dict[str, TokenBucket] = {}

    async def verify(self, shown: Presented) -> Key:
        """The key that was shown.

        Raises:
            ProblemError: it is not good (the answer does not tell why), or the database cannot be asked.
        """
        key, until = self._found_good.get(shown.digest, (None, 0.0))
        if until <= self._clock():
            key = await self.ask(self._find, shown)
            self._remember(shown, key)
        if key is None or not accepts(key, shown, datetime.now(UTC)):
            raise no_valid_key()
        return key

    def bucket_of(self, key: Key) -> TokenBucket | None:
        """What is left of the key's minute; None when it has no such limit."""
        if key.ads_per_minute is None:
            return None
        bucket = self._buckets.get(key.id)
        if bucket is None or bucket.per_minute != key.ads_per_minute:
            bucket = self._buckets[key.id] = TokenBucket(key.ads_per_minute, self._clock)
        return bucket

    async def ask(self, question: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Ask the store in a thread, since a database may take its time.

        Raises:
            ProblemError: it cannot answer; nobody is let in on a guess.
        """
        try:
            return await asyncio.to_thread(question, *args, **kwargs)
        except KeyStoreError as error:
            log.error("%s", error)
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise ProblemError(KEYS_UNAVAILABLE, "The database of keys does not answer.", headers=again) from None

    def _find(self, shown: Presented) -> Key | None:
        key, now = self.store.find(shown.key_id), datetime.now(UTC)
        if not accepts(key, shown, now):
            return None
        if key is not None and key.last_used != now.date():
            self.store.mark_used(key.id, now.date())
        return key

    def _remember(self, shown: Presented, key: Key | None) -> None:
        now = self._clock()
        self._found_good = {digest: kept for digest, kept in self._found_good.items() if kept[1] > now}
        if key is not None:
            self._found_good[shown.digest] = (key, now + GOOD_FOR_SECONDS)


def no_valid_key(detail: str = "The key is unknown, revoked or expired.", error: str = ', error="invalid_token"') -> ProblemError:
    """The answer to whoever has no good key (RFC 6750)."""
    return ProblemError(NO_VALID_KEY, detail, headers={"WWW-Authenticate": f'Bearer realm="signaal"{error}'})
