"""The room's ads with the opinions on them and the decisions, as they go to other tools."""

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from labeling.annotation import Annotation
from labeling.label_studio import ExchangedAd
from labeling.work.judged_ads import decision_on, judged_ads, opinions_on


@dataclass(slots=True)
class RoomOut:
    """Ads in order of number, gold items left out; opinions of those who are done; ad id → what an adjudicator decided."""

    ads: list[ExchangedAd] = field(default_factory=list)
    opinions: list[Annotation] = field(default_factory=list)
    decisions: dict[str, Annotation] = field(default_factory=dict)


def room_out(session: Session) -> RoomOut:
    """Read all of it. Contact details in the texts are masked, as they are stored."""
    out = RoomOut()
    for ad in judged_ads(session):
        out.ads.append(ExchangedAd(id=ad.id, text=ad.text, language=ad.language))
        out.opinions += opinions_on(ad)
        if (decision := decision_on(ad)) is not None:
            out.decisions[ad.id] = decision
    return out
