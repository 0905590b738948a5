"""Forgetting: one ad everywhere, or all whose time is over.

The audit stays, and holds nothing of the ad but our number, which then leads nowhere. Files that were exported before are not
reached: ``labeling.work.export_places`` finds them, and ``docs/labeling.md`` says what to do about them and about backups.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from labeling.store.database import Database
from labeling.store.tables import (
    Ad,
    Adjudication,
    AdjudicationVersion,
    AdSketch,
    AnnotationVersion,
    Assignment,
    Feedback,
    StoredAnnotation,
    SuggestedLabel,
    Suggestion,
)
from labeling.work import audit
from labeling.work.rules import load_project

_AT_ONCE = 200


def erase_ad(session: Session, ad_id: str, account_id: str | None, now: datetime) -> bool:
    """Erase an ad and all that was said of it: suggestion, opinions and their history, decisions, feedback. Whether there
    was anything."""
    number = session.scalar(select(Ad.number).where(Ad.id == ad_id).with_for_update())
    said = session.scalars(delete(Feedback).where(Feedback.ad_id == ad_id).returning(Feedback.seq)).all()
    if number is not None:
        _erase_numbers(session, [number])
    if number is not None or said:
        audit.record(session, now, account_id, audit.Action.ERASED, number, "" if number else "feedback only")
    return number is not None or bool(said)


def purge(database: Database, account_id: str | None, now: datetime) -> list[str]:
    """Erase ads that were imported longer ago than the project's retention period; their ids. None when it sets none."""
    with database.read() as session:
        days = load_project(session).retention_days
    if days is None:
        return []
    purged: list[str] = []
    old = select(Ad.number, Ad.id).where(Ad.imported_at <= now - timedelta(days=days)).order_by(Ad.number).limit(_AT_ONCE)
    while True:
        with database.write() as session:
            over = session.execute(old.with_for_update()).all()
            if not over:
                break
            session.execute(delete(Feedback).where(Feedback.ad_id.in_([row.id for row in over])))
            _erase_numbers(session, [row.number for row in over])
            purged += [row.id for row in over]
    with database.write() as session:
        old_feedback = delete(Feedback).where(Feedback.received_at <= now - timedelta(days=days)).returning(Feedback.seq)
        said = len(session.scalars(old_feedback).all())
        detail = f"{len(purged)} ads, {said} records of feedback older than {days} days"
        audit.record(session, now, account_id, audit.Action.PURGED, detail=detail)
    return purged


def _erase_numbers(session: Session, numbers: list[int]) -> None:
    session.execute(update(Ad).where(Ad.number.in_(numbers)).values(erasing=True))
    assignments = select(Assignment.id).where(Assignment.ad_number.in_(numbers))
    for of_assignment in (AnnotationVersion, StoredAnnotation):
        session.execute(delete(of_assignment).where(of_assignment.assignment_id.in_(assignments)))
    for of_ad in (Assignment, AdjudicationVersion, Adjudication, SuggestedLabel, Suggestion, AdSketch):
        session.execute(delete(of_ad).where(of_ad.ad_number.in_(numbers)))
    _regroup(session, numbers)
    session.execute(delete(Ad).where(Ad.number.in_(numbers)))


def _regroup(session: Session, numbers: list[int]) -> None:
    """Groups whose first ad goes are named by the first that stays."""
    for number in numbers:
        staying = select(Ad.number).where(Ad.group_id == number, Ad.number.not_in(numbers)).order_by(Ad.number).limit(1)
        if (heir := session.scalar(staying)) is not None:
            session.execute(update(Ad).where(Ad.group_id == number).values(group_id=heir))
