"""The audit read back: of an ad, of an account, since a day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from labeling.store.tables import Account, Audit
from labeling.work.audit import Action

_OF_ACCOUNTS = (Action.ACCOUNT_MADE, Action.ACCOUNT_CHANGED)
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit, with names for account ids."""

    at: datetime
    who: str | None
    """Name of the account; None for the console, or for a sign-in of nobody."""
    action: str
    ad_number: int | None
    detail: str


def entries(
    session: Session, *, ad_number: int | None = None, account_id: str | None = None, since: datetime | None = None
) -> Iterator[Entry]:
    """Entries in the order in which they were made.

    Args:
        ad_number: only those of this ad, by our number, which still finds them when the ad is erased.
        account_id: only what this account did, and what was done to it.
        since: only from this moment on.
    """
    names = dict(session.execute(select(Account.id, Account.name)).tuples().all())
    wanted = select(Audit).order_by(Audit.id)
    if ad_number is not None:
        wanted = wanted.where(Audit.ad_number == ad_number)
    if account_id is not None:
        done_to = and_(Audit.action.in_(_OF_ACCOUNTS), Audit.detail.startswith(account_id, autoescape=True))
        wanted = wanted.where(or_(Audit.account_id == account_id, done_to))
    if since is not None:
        wanted = wanted.where(Audit.at >= since)
    for row in session.scalars(wanted.execution_options(yield_per=_AT_ONCE)):
        who = None if row.account_id is None else names.get(row.account_id, row.account_id)
        yield Entry(row.at, who, row.action, row.ad_number, _named(row, names))


def _named(row: Audit, names: dict[str, str]) -> str:
    """What was done to an account begins with its id."""
    first, space, rest = row.detail.partition(" ")
    return f"{names.get(first, first)}{space}{rest}" if row.action in _OF_ACCOUNTS else row.detail
