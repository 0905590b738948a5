"""What a local model says of the ads: scored batch by batch, each batch kept before the next, so that it can be stopped and
goes on where it was."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from labeling.store.database import Database
from labeling.store.tables import Ad, AdState, SuggestedLabel, Suggestion
from labeling.work import audit
from models.runtime import Scorer
from models.scores import AdScore, Status

BATCH = 64


def waiting_count(session: Session, bundle_digest: str) -> int:
    """How many ads this model has not scored, of those on which somebody still has to decide something."""
    return session.scalar(select(func.count()).select_from(Ad).outerjoin(Ad.suggestion).where(*_waits(bundle_digest))) or 0


def score_waiting(database: Database, scorer: Scorer, done: Callable[[int], None] = lambda _: None) -> int:
    """Score ads that this model has not scored, in the order of the queue; how many. What another model said is replaced.

    Args:
        done: is told how many ads more are done with.
    """
    digest, scored, last = scorer.identity.bundle_digest, 0, (-1, -1)
    while True:
        with database.read() as session:
            after = or_(Ad.rank > last[0], (Ad.rank == last[0]) & (Ad.number > last[1]))
            waiting = select(Ad).outerjoin(Ad.suggestion).where(*_waits(digest), after).order_by(Ad.rank, Ad.number)
            ads = session.scalars(waiting.limit(BATCH)).all()
        if not ads:
            break
        known = [None if ad.language == "und" else ad.language for ad in ads]
        scores = scorer.score([ad.text for ad in ads], known)
        with database.write() as session:
            scored += _store(session, scorer, ads, scores)
        last = (ads[-1].rank, ads[-1].number)
        done(len(ads))
    if scored:
        with database.write() as session:
            audit.record(session, datetime.now(UTC), None, audit.Action.SCORED, detail=f"{scored} ads, bundle {digest[:12]}")
    return scored


def _waits(bundle_digest: str) -> tuple[ColumnElement[bool], ...]:
    other = or_(Suggestion.ad_number.is_(None), Suggestion.bundle_digest != bundle_digest)
    return other, Ad.state.in_((AdState.OPEN, AdState.DISPUTED))


def _store(session: Session, scorer: Scorer, ads: Sequence[Ad], scores: Sequence[AdScore]) -> int:
    # An ad may have been erased while it was scored.
    there = set(session.scalars(select(Ad.number).where(Ad.number.in_([ad.number for ad in ads])).with_for_update()))
    for of_ad in (Suggestion, SuggestedLabel):
        session.execute(delete(of_ad).where(of_ad.ad_number.in_(there)))
    now = datetime.now(UTC)
    suggestions: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    for ad, score in zip(ads, scores, strict=True):
        if ad.number not in there:
            continue
        said = score.indicators | score.counter_indicators
        suggestions.append(
            {
                "ad_number": ad.number,
                "bundle_digest": scorer.identity.bundle_digest,
                "model": f"{scorer.identity.name} {scorer.identity.version}"[:100],
                "labels": {
                    label: {
                        "probability": round(one.probability, 4),
                        "status": str(one.status),
                        "spans": [{"start": span.start, "end": span.end} for span in one.evidence],
                    }
                    for label, one in said.items()
                },
                "document_type": score.document_type,
                "document_type_probability": round(score.document_type_probability, 4),
                "scored_at": now,
            }
        )
        seen += [{"ad_number": ad.number, "label": label} for label, one in said.items() if one.status is not Status.ABSENT]
    if suggestions:
        session.execute(insert(Suggestion), suggestions)
    if seen:
        session.execute(insert(SuggestedLabel), seen)
    return len(suggestions)
