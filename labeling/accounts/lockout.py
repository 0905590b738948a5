"""Lock-out: after a number of wrong passwords in a row an account takes none for a while, and for twice as long each time."""

from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from labeling.settings import LabelingSettings
from labeling.store.tables import Account

LONGEST = timedelta(days=1)


def count_attempt(session: Session, name: str, now: datetime, settings: LabelingSettings) -> Account | None:
    """Note an attempt BEFORE its password is looked at, so that guesses made at the same time all count; ``forget`` takes it
    back when the password is right. None when there is no such account, or it is locked or inactive.
    """
    free = or_(Account.locked_until.is_(None), Account.locked_until <= now)
    attempt = (
        update(Account).where(Account.name == name, Account.active, free).values(failed_sign_ins=Account.failed_sign_ins + 1)
    )
    account = session.scalar(attempt.returning(Account))
    if account is not None and account.failed_sign_ins >= settings.sign_in_attempts:
        account.locked_until = now + _lock(account.failed_sign_ins - settings.sign_in_attempts, settings)
    return account


def forget(account: Account) -> None:
    """The password was right: what failed before no longer counts."""
    account.failed_sign_ins, account.locked_until = 0, None


def _lock(times_before: int, settings: LabelingSettings) -> timedelta:
    return min(timedelta(minutes=settings.lock_minutes * 2.0 ** min(times_before, 20)), LONGEST)
