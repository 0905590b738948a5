"""Sign-in sessions: an opaque token in the browser's cookie, its SHA-256 in the database.

Each sign-in makes a new token, so that a token that someone planted in a browser before (session fixation) never becomes a
signed-in one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_
from sqlalchemy.orm import Session

from labeling.accounts.lockout import count_attempt, forget
from labeling.accounts.passwords import hash_password, is_outdated, is_password
from labeling.settings import LabelingSettings
from labeling.store.database import Database
from labeling.store.tables import Account, SignInSession
from labeling.work import audit

_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session; ``token`` is for the cookie and is kept nowhere else."""

    token: str
    account: Account
    expires_at: datetime


def sign_in(database: Database, name: str, password: str, now: datetime, settings: LabelingSettings) -> SignedIn | None:
    """A session for the right password; None otherwise, whatever the reason: who has an account
    is nobody's business.

    It opens transactions of its own: the attempt counts even if the caller never comes back, and no lock is held while the
    password is hashed.
    """
    with database.write() as session:
        account = count_attempt(session, name, now, settings)
        if account is None:
            audit.record(session, now, None, audit.Action.SIGN_IN_REFUSED)
    is_right = is_password(password, None if account is None else account.password_hash)
    if account is None:
        return None
    if not is_right:
        with database.write() as session:
            audit.record(session, now, account.id, audit.Action.SIGN_IN_REFUSED)
        return None
    fresh = hash_password(password) if is_outdated(account.password_hash) else account.password_hash
    with database.write() as session:
        account = session.get_one(Account, account.id, with_for_update=True)
        if not account.active:
            return None
        forget(account)
        account.password_hash = fresh
        _forget_old(session, now, settings)
        token = secrets.token_urlsafe(32)
        expires_at = now + timedelta(hours=settings.session_hours)
        session.add(
            SignInSession(token_digest=_digest(token), account_id=account.id, created_at=now, seen_at=now, expires_at=expires_at)
        )
        audit.record(session, now, account.id, audit.Action.SIGNED_IN)
    return SignedIn(token, account, expires_at)


def account_of(session: Session, token: str, now: datetime, settings: LabelingSettings) -> Account | None:
    """Whose session a token is; None when it is nobody's, over, or its account inactive. A reading session will do;
    ``mark_seen`` keeps the session from going idle."""
    found = session.get(SignInSession, _digest(token))
    if found is None or found.expires_at <= now or found.seen_at + timedelta(minutes=settings.idle_minutes) <= now:
        return None
    return found.account if found.account.active else None


def needs_mark(session: Session, token: str, now: datetime) -> bool:
    """Whether ``mark_seen`` has anything to write: once a minute is enough."""
    found = session.get(SignInSession, _digest(token))
    return found is not None and found.seen_at + _SEEN_EVERY <= now


def mark_seen(session: Session, token: str, now: datetime) -> None:
    """Note that a session is in use."""
    found = session.get(SignInSession, _digest(token))
    if found is not None:
        found.seen_at = now


def sign_out(session: Session, token: str, now: datetime) -> None:
    """End one session."""
    found = session.get(SignInSession, _digest(token))
    if found is not None:
        audit.record(session, now, found.account_id, audit.Action.SIGNED_OUT)
        session.delete(found)


def end_sessions(session: Session, account_id: str) -> None:
    """End all sessions of an account: its password or role changed, or it was closed."""
    session.execute(delete(SignInSession).where(SignInSession.account_id == account_id))


def _forget_old(session: Session, now: datetime, settings: LabelingSettings) -> None:
    """Delete all accounts' sessions that are over."""
    idle = SignInSession.seen_at <= now - timedelta(minutes=settings.idle_minutes)
    session.execute(delete(SignInSession).where(or_(SignInSession.expires_at <= now, idle)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
