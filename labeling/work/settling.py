"""What an ad's opinions come to once they are all there: agreement, or a case for the adjudicator."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, selectinload

from labeling.annotation import Annotation
from labeling.consensus import consensus
from labeling.opinion import StoredOpinion
from labeling.store.tables import Ad, AdState, Assignment, AssignmentState
from models.taxonomy import packaged_taxonomy


def done_opinions(session: Session, ad: Ad) -> list[Annotation]:
    """The opinions on an ad of those who are done, in order of assignment."""
    done = (
        select(Assignment)
        .where(Assignment.ad_number == ad.number, Assignment.state == AssignmentState.DONE)
        .order_by(Assignment.id)
        .options(selectinload(Assignment.annotation))
        .execution_options(populate_existing=True)
    )
    return [
        StoredOpinion.of_annotation(assignment.annotation, assignment.account_id).annotation(ad.id)
        for assignment in session.scalars(done)
        if assignment.annotation is not None
    ]


def settle(session: Session, ad: Ad) -> None:
    """Set the ad's state from its opinions. The caller has the ad's row locked, so that of two reviewers who finish at the
    same time the second sees both."""
    if ad.gold is not None or ad.state == AdState.RESOLVED:
        return
    session.flush()
    is_open = exists().where(Assignment.ad_number == ad.number, Assignment.state == AssignmentState.OPEN)
    if ad.slots_left > 0 or session.scalar(select(is_open)):
        ad.state = AdState.OPEN
        return
    opinions = done_opinions(session, ad)
    if opinions:
        agreed = consensus(opinions)
        # A label that all opted out of must be judged by somebody: an adjudicator, who judges all of them.
        whole = agreed.settled and not agreed.unjudged(packaged_taxonomy().label_ids)
        ad.state = AdState.AGREED if whole else AdState.DISPUTED


def settle_waiting(session: Session) -> None:
    """Settle ads that are open and for which nobody is wanted any more: overlap was lowered."""
    waiting = select(Ad).where(Ad.state == AdState.OPEN, Ad.slots_left <= 0, Ad.gold.is_(None))
    for ad in session.scalars(waiting.order_by(Ad.number).with_for_update()).all():
        settle(session, ad)
