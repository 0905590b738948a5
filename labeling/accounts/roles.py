"""Who may do what: an adjudicator may do all that an annotator may, an admin all."""

from enum import StrEnum

from labeling.errors import NotAllowedError
from labeling.store.tables import Account


class Role(StrEnum):
    """From the least to the most."""

    ANNOTATOR = "annotator"
    ADJUDICATOR = "adjudicator"
    ADMIN = "admin"


_ORDER = list(Role)


def allows(role: str, needed: Role) -> bool:
    """Whether a role reaches the needed one."""
    return _ORDER.index(Role(role)) >= _ORDER.index(needed)


def demand(account: Account | None, needed: Role) -> Account:
    """The account, when it is active and its role reaches the needed one.

    Raises:
        NotAllowedError: it is not.
    """
    if account is None or not account.active or not allows(account.role, needed):
        raise NotAllowedError(f"This needs the role {needed}.")
    return account
