"""Who has seen the opinions of others, and of which ad: the audit knows, and cannot be changed.

Whoever has compared the opinions on an ad gives none of their own on it any more, nor on a near-duplicate, nor changes the one
they gave: it would not be blind.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, select
from sqlalchemy.orm import Session, aliased

from labeling.store.tables import Ad, Audit
from labeling.work.audit import Action

# A literal, so that SQLite sees that the index of comparisons will do.
_COMPARED = Audit.action == literal_column(f"'{Action.COMPARED}'")


def has_compared(session: Session, account_id: str, ad_number: int) -> bool:
    """Whether this account was shown others' opinions on the ad."""
    seen = exists().where(Audit.account_id == account_id, Audit.ad_number == ad_number, _COMPARED)
    return bool(session.scalar(select(seen)))


def not_compared_by(account_id: str) -> ColumnElement[bool]:
    """Ads on which, and on whose near-duplicates, this account was shown no opinion of others."""
    other = aliased(Ad)
    numbers = select(Audit.ad_number).where(Audit.account_id == account_id, Audit.ad_number.is_not(None), _COMPARED)
    groups = select(other.group_id).where(other.number.in_(numbers), other.group_id.is_not(None))
    return Ad.number.not_in(numbers) & or_(Ad.group_id.is_(None), Ad.group_id.not_in(groups))


def latest_comparisons(session: Session, account_id: str, since: datetime) -> dict[int, datetime]:
    """Number of each ad that this account has compared since then → when last."""
    seen = select(Audit.ad_number, func.max(Audit.at)).where(Audit.account_id == account_id, Audit.at >= since, _COMPARED)
    return {number: at for number, at in session.execute(seen.group_by(Audit.ad_number)) if number is not None}
