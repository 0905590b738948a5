"""The audit: who saw and did what, and when. It only grows, and holds no word of an ad."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from labeling.store.tables import Audit


class Action(StrEnum):
    """What can be done."""

    SIGNED_IN = "signed in"
    SIGN_IN_REFUSED = "sign-in refused"
    SIGNED_OUT = "signed out"
    ACCOUNT_MADE = "account made"
    ACCOUNT_CHANGED = "account changed"
    SETTINGS_CHANGED = "settings changed"
    AD_SHOWN = "ad shown"
    SAVED = "saved"
    DONE = "done"
    REOPENED = "reopened"
    SKIPPED = "skipped"
    COMPARED = "opinions compared"
    RESOLVED = "resolved"
    IMPORTED = "imported"
    SCORED = "scored"
    GROUPED = "grouped"
    DOUBTED = "doubted"
    QUEUED = "queue made"
    EXPORTED = "exported"
    BACKED_UP = "backed up"
    RESTORED = "restored"
    ERASED = "erased"
    PURGED = "purged"


def record(
    session: Session, now: datetime, account_id: str | None, action: Action, ad_number: int | None = None, detail: str = ""
) -> None:
    """Note what happened, in the transaction in which it does.

    Args:
        account_id: who did it; None for a command of the console, and for what happens by itself.
        detail: counts, versions, names of settings; never words that someone typed or that an ad holds.
    """
    session.add(Audit(at=now, account_id=account_id, action=action, ad_number=ad_number, detail=detail[:200]))
