"""A key as its owner has it: ``sgnl_<id>_<secret>``.

The id is public: it finds the row, and it may be logged. The secret is 256 random bits, so one round of SHA-256 keeps it: a
slow hash is for what people can remember, and nobody can try 2**256 secrets. Only the hash is kept.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_FORM = re.compile(r"sgnl_([0-9a-f]{12})_[0-9a-f]{64}")
_NO_DIGEST = "0" * 64
"""Stands in for the hash of a key that there is not; nobody knows a text that has it."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A key that somebody showed: the id that it names, and the SHA-256 of all of it (hex)."""

    key_id: str
    digest: str


def new_key_id() -> str:
    """12 hexadecimal digits."""
    return secrets.token_hex(6)


def new_token(key_id: str) -> str:
    """A new key for this id, secret and all; to be shown once."""
    return f"sgnl_{key_id}_{secrets.token_hex(32)}"


def digest_of(token: str) -> str:
    """SHA-256 of a whole key, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_token(token: str) -> Presented | None:
    """What ``token`` claims; None when it has not the form of a key."""
    found = _FORM.fullmatch(token)
    return Presented(found[1], digest_of(token)) if found else None


def digests_equal(kept: str | None, shown: str) -> bool:
    """Compares in a time that tells nothing, and in the same time when there is nothing to compare with."""
    equal = hmac.compare_digest(kept or _NO_DIGEST, shown)
    return equal and kept is not None
