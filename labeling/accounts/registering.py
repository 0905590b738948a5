"""Making and changing accounts."""

import re
import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.accounts.lockout import forget
from labeling.accounts.passwords import hash_password
from labeling.accounts.roles import Role
from labeling.accounts.sessions import end_sessions
from labeling.errors import AccountError
from labeling.store.tables import Account
from labeling.work import audit

_NAME = re.compile(r"[\w.-]{2,64}")


def make_account(session: Session, name: str, password: str, role: Role, now: datetime, by: str | None = None) -> Account:
    """A new account. ``by`` is the account that makes it; None for the console.

    Raises:
        AccountError: the name is taken or not fit, or the password is too short or too long.
    """
    if not _NAME.fullmatch(name):
        raise AccountError("A name has 2 to 64 letters, digits, dots, dashes and underscores.", "name")
    if by_name(session, name) is not None:
        raise AccountError(f"There is an account {name} already.", "taken", name=name)
    account = Account(
        id=secrets.token_hex(6),
        name=name,
        password_hash=hash_password(password),
        role=role,
        active=True,
        language="en",
        opt_outs=[],
        daily_limit=None,
        failed_sign_ins=0,
        locked_until=None,
        created_at=now,
    )
    session.add(account)
    session.flush()
    audit.record(session, now, by, audit.Action.ACCOUNT_MADE, detail=f"{account.id} {role}")
    return account


def by_name(session: Session, name: str) -> Account | None:
    """The account of this name."""
    return session.scalar(select(Account).where(Account.name == name))


def all_accounts(session: Session) -> list[Account]:
    """Every account, by name, closed ones too."""
    return list(session.scalars(select(Account).order_by(Account.name)))


def change_password(session: Session, account: Account, password: str, now: datetime, by: str | None) -> None:
    """Set a password; ends the account's sessions and its lock.

    Raises:
        AccountError: it is too short or too long.
    """
    account.password_hash = hash_password(password)
    forget(account)
    end_sessions(session, account.id)
    audit.record(session, now, by, audit.Action.ACCOUNT_CHANGED, detail=f"{account.id} password")


def change_role(session: Session, account: Account, role: Role, now: datetime, by: str | None) -> None:
    """Set a role; ends the account's sessions.

    Raises:
        AccountError: no admin would be left.
    """
    if role != Role.ADMIN:
        _keep_an_admin(session, account)
    account.role = role
    end_sessions(session, account.id)
    audit.record(session, now, by, audit.Action.ACCOUNT_CHANGED, detail=f"{account.id} {role}")


def set_active(session: Session, account: Account, active: bool, now: datetime, by: str | None) -> None:
    """Close an account, or open it again. Its work stays.

    Raises:
        AccountError: no admin would be left.
    """
    if not active:
        _keep_an_admin(session, account)
        end_sessions(session, account.id)
    account.active = active
    audit.record(session, now, by, audit.Action.ACCOUNT_CHANGED, detail=f"{account.id} {'opened' if active else 'closed'}")


def _keep_an_admin(session: Session, account: Account) -> None:
    admins = session.scalars(select(Account.id).where(Account.role == Role.ADMIN, Account.active).with_for_update()).all()
    if list(admins) == [account.id]:
        raise AccountError(f"{account.name} is the only admin; make another first.", "only_admin", name=account.name)
