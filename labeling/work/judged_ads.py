"""Ads with what was said of them, read in portions, for what goes out of the room."""

from collections.abc import Iterator

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload, selectinload

from labeling.annotation import Annotation
from labeling.opinion import StoredOpinion
from labeling.store.tables import Ad, Assignment, AssignmentState

_BATCH = 1000


def judged_ads(session: Session, *only: ColumnElement[bool]) -> Iterator[Ad]:
    """Ads in order of number, gold items left out, with their assignments, opinions and decision at hand.

    Args:
        session: lets go of each portion when the next one is asked for.
        only: further conditions.
    """
    wanted = (
        select(Ad)
        .where(Ad.gold.is_(None), *only)
        .options(joinedload(Ad.adjudication), selectinload(Ad.assignments).joinedload(Assignment.annotation))
        .order_by(Ad.number)
        .limit(_BATCH)
    )
    last = 0
    while ads := session.scalars(wanted.where(Ad.number > last)).all():
        yield from ads
        last = ads[-1].number
        session.expunge_all()


def opinions_on(ad: Ad) -> list[Annotation]:
    """Of those who are done, in order of assignment."""
    return [
        StoredOpinion.of_annotation(assignment.annotation, assignment.account_id).annotation(ad.id)
        for assignment in ad.assignments
        if assignment.state == AssignmentState.DONE and assignment.annotation is not None
    ]


def decision_on(ad: Ad) -> Annotation | None:
    """What an adjudicator decided, if one did."""
    return None if ad.adjudication is None else StoredOpinion.of_adjudication(ad.adjudication).annotation(ad.id)
