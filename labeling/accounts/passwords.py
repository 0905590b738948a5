"""Passwords: Argon2id with the parameters of RFC 9106's second recommendation (64 MiB, 3 passes, 4 lanes)."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError

from labeling.errors import AccountError

SHORTEST = 12
LONGEST = 200
"""Characters. A limit above, so that nobody makes the server hash a book."""

_hasher = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
_at_once = threading.BoundedSemaphore(2)
"""Each takes 64 MiB: a flood of sign-ins must not take the machine's memory."""


def hash_password(password: str) -> str:
    """The hash to keep, with its salt and parameters.

    Raises:
        AccountError: the password is too short or too long.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"A password has {SHORTEST} to {LONGEST} characters; several words make a good one."
        raise AccountError(message, "password", shortest=SHORTEST, longest=LONGEST)
    with _at_once:
        return _hasher.hash(password)


def is_password(password: str, stored: str | None) -> bool:
    """Whether the password is the hashed one. The same work is done when there is none, so that time tells nothing."""
    with _at_once:
        try:
            return _hasher.verify(stored or _nobodys(), password[: LONGEST + 1]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe())
