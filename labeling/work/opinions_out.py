"""The room's ads with the opinions on them and the decisions, as they go to other tools."""

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from labeling.annotation import Annotation
from labeling.label_studio import ExchangedAd
from labeling.opinion import StoredOpinion
from labeling.store.tables import Ad, Assignment, AssignmentState

_BATCH = 1000


@dataclass(slots=True)
class RoomOut:
    """Ads in order of number, gold items left out; opinions of those who are done; ad id → what an adjudicator decided."""

    ads: list[ExchangedAd] = field(default_factory=list)
    opinions: list[Annotation] = field(default_factory=list)
    decisions: dict[str, Annotation] = field(default_factory=dict)


def room_out(session: Session) -> RoomOut:
    """Read all of it. Contact details in the texts are masked, as they are stored."""
    out = RoomOut()
    wanted = (
        select(Ad)
        .where(Ad.gold.is_(None))
        .options(joinedload(Ad.adjudication), selectinload(Ad.assignments).joinedload(Assignment.annotation))
        .order_by(Ad.number)
        .limit(_BATCH)
    )
    last = 0
    while ads := session.scalars(wanted.where(Ad.number > last)).all():
        for ad in ads:
            out.ads.append(ExchangedAd(id=ad.id, text=ad.text, language=ad.language))
            out.opinions += [
                StoredOpinion.of_annotation(assignment.annotation, assignment.account_id).annotation(ad.id)
                for assignment in ad.assignments
                if assignment.state == AssignmentState.DONE and assignment.annotation is not None
            ]
            if ad.adjudication is not None:
                out.decisions[ad.id] = StoredOpinion.of_adjudication(ad.adjudication).annotation(ad.id)
        last = ads[-1].number
        session.expunge_all()
    return out
