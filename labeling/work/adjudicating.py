"""Ads on which reviewers disagree, side by side, and the decision on each."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from labeling.accounts.roles import Role, demand
from labeling.errors import ClosedError, NotFoundError, StaleVersionError
from labeling.opinion import Draft, StoredOpinion, columns_of
from labeling.store.tables import Account, Ad, Adjudication, AdjudicationVersion, AdState, Assignment, AssignmentState
from labeling.work import audit
from labeling.work.assignment import locked_ad
from models.taxonomy import packaged_taxonomy


@dataclass(frozen=True, slots=True)
class Case:
    """An ad with the opinions of all who are done with it, and the decision, when there is one."""

    ad: Ad
    opinions: tuple[StoredOpinion, ...]
    decision: StoredOpinion | None


def disputed(session: Session, limit: int = 100, after: int = 0) -> list[Ad]:
    """Ads that wait for a decision, in order of number, from the one after ``after``."""
    waiting = select(Ad).where(Ad.state == AdState.DISPUTED, Ad.number > after).order_by(Ad.number).limit(limit)
    return list(session.scalars(waiting))


def disputed_count(session: Session) -> int:
    """How many ads wait for a decision."""
    return session.scalar(select(func.count()).where(Ad.state == AdState.DISPUTED)) or 0


def case(session: Session, ad_id: str, adjudicator: str, now: datetime) -> Case:
    """Who opens a case sees others' opinions, so the audit notes it, and they give none of their own on this ad any more
    (``comparing``). Only of an ad for which no opinion is missing. It may be an ad that the adjudicator has read as one of
    several reviewers: in a small group somebody must decide.

    Raises:
        NotAllowedError: the account is no adjudicator.
        NotFoundError: there is no such ad.
        ClosedError: opinions are missing; seeing them now would end their being blind.
    """
    demand(session.get(Account, adjudicator), Role.ADJUDICATOR)
    number = session.scalar(select(Ad.number).where(Ad.id == ad_id))
    if number is None:
        raise NotFoundError("There is no such ad.")
    ad = locked_ad(session, number)  # so that it is not opened again, or another reviewer wanted, at the same moment
    if ad.state == AdState.OPEN:
        raise ClosedError("Opinions on this ad are missing; it cannot be compared yet.")
    done = select(Assignment).where(Assignment.ad_number == ad.number, Assignment.state == AssignmentState.DONE)
    opinions = tuple(
        StoredOpinion.of_annotation(assignment.annotation, assignment.account_id)
        for assignment in session.scalars(done.order_by(Assignment.id))
        if assignment.annotation is not None
    )
    audit.record(session, now, adjudicator, audit.Action.COMPARED, ad.number)
    decision = None if ad.adjudication is None else StoredOpinion.of_adjudication(ad.adjudication)
    return Case(ad, opinions, decision)


def resolve(session: Session, ad_id: str, adjudicator: str, version: int, final: Draft, now: datetime) -> int:
    """Decide an ad; gives the decision's version. A decision can be changed by a later one; both are in the history.

    Args:
        version: of the decision that this one replaces; 0 for the first.

    Raises:
        NotAllowedError, NotFoundError, ClosedError: as ``case``.
        StaleVersionError: another version is stored; the error has it.
        DraftError: it breaks a rule.
    """
    demand(session.get(Account, adjudicator), Role.ADJUDICATOR)
    number = session.scalar(select(Ad.number).where(Ad.id == ad_id))
    if number is None:
        raise NotFoundError("There is no such ad.")
    ad = locked_ad(session, number)
    if ad.state == AdState.OPEN:
        raise ClosedError("Opinions on this ad are missing; it cannot be decided yet.")
    stored = session.get(Adjudication, number, populate_existing=True)
    if version != (stored.version if stored else 0):
        raise StaleVersionError(
            f"This ad was decided meanwhile: version {stored.version if stored else 0} is stored, not {version}.",
            stored and StoredOpinion.of_adjudication(stored),
        )
    taxonomy = packaged_taxonomy()
    final = final.checked(ad.text, taxonomy).complete(taxonomy)
    values = columns_of(final) | {"version": version + 1, "adjudicator_id": adjudicator, "decided_at": now}
    if stored is None:
        session.add(Adjudication(ad_number=number, **values))
    else:
        for name, value in values.items():
            setattr(stored, name, value)
    session.add(AdjudicationVersion(ad_number=number, **values))
    ad.state = AdState.RESOLVED
    audit.record(session, now, adjudicator, audit.Action.RESOLVED, number, f"version {version + 1}")
    session.flush()
    return version + 1
