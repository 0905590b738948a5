"""Forgetting: one ad everywhere, or all whose time is over.

The audit stays, and holds nothing of the ad but our number, which then leads nowhere. Of feedback the number of the record
stays, so that the next import of the same outbox does not bring the ad back. Files that were exported before are not
reached: ``labeling.work.export_places`` finds them, and ``docs/labeling.md`` says what to do about them and about backups.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
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
    said = blank_feedback(session, Feedback.ad_id == ad_id)
    if number is not None:
        _erase_numbers(session, [number])
    if number is not None or said:
        audit.record(session, now, account_id, audit.Action.ERASED, number, "" if number else "feedback only")
    return number is not None or said > 0


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
            blank_feedback(session, Feedback.ad_id.in_([row.id for row in over]))
            _erase_numbers(session, [row.number for row in over])
            purged += [row.id for row in over]
    with database.write() as session:
        said = blank_feedback(session, Feedback.received_at <= now - timedelta(days=days))
        detail = f"{len(purged)} ads, {said} records of feedback older than {days} days"
        audit.record(session, now, account_id, audit.Action.PURGED, detail=detail)
    return purged


def blank_feedback(session: Session, which: ColumnElement[bool]) -> int:
    """Empty records of feedback, but for those that are empty already; how many. Their rows stay: they say that these records
    of the outbox were read, and are not to be read again."""
    said = update(Feedback).where(Feedback.ad_id != "", which).returning(Feedback.seq)
    nothing: dict[str, Any] = {"ad_id": "", "labels": {}, "document_type": None, "spans": [], "reviewer": None, "note": None}
    return len(session.scalars(said.values(nothing)).all())


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
