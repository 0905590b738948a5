"""The order of the queue, made anew from what is known now: suggestions, feedback, and what was labelled so far.

Ads that somebody has read already and that still want readers come first, so that opinions on an ad come together. Then what
``labeling.queue`` plans; then near-duplicates of these. Whoever makes the queue may name ads that come before all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from labeling.diversity import clusters_by_language
from labeling.queue import Candidate, Mixing, plan
from labeling.store.database import Database
from labeling.store.tables import Ad, AdState, Assignment, AssignmentState, Feedback, StoredAnnotation, Suggestion
from labeling.work import audit
from labeling.work.ranks import LAST_RANKS, PLANNED_RANKS
from labeling.work.rules import load_project

_BATCH = 5000
"""Places written in one transaction: others are to write meanwhile."""


def make_queue(database: Database, rng: Random, now: datetime, first: Sequence[int] = ()) -> int:
    """Order all ads that still want readers; how many were planned.

    Args:
        first: numbers of ads that come before all others, in their order, if they still want readers.
    """
    with database.read() as session:
        mixing = Mixing(**load_project(session).mixing)
        cluster_of = _clusters(session) if mixing.diversity else {}
        started, fresh, copies = _waiting(session, cluster_of)
        labelled = Counter(cluster_of[number] for number in _read(session) if number in cluster_of)
        planned = plan(fresh, mixing, rng, coverage=_coverage(session), labelled_of_cluster=labelled)
    waiting = {*started, *copies, *(int(candidate.ad_id) for candidate in fresh)}
    order = list(dict.fromkeys([*(n for n in first if n in waiting), *started, *(int(number) for number in planned)]))
    copies = [number for number in copies if number not in first]
    left_out = {int(candidate.ad_id) for candidate in fresh}.difference(order)
    ranks = dict(zip(order, range(*PLANNED_RANKS), strict=False))
    ranks |= zip([*copies, *sorted(left_out)], range(*LAST_RANKS), strict=False)
    values = [{"number": number, "rank": rank} for number, rank in ranks.items()]
    for start in range(0, len(values), _BATCH):
        with database.write() as session:
            _write(session, values[start : start + _BATCH])
    with database.write() as session:
        audit.record(session, now, None, audit.Action.QUEUED, detail=f"{len(order)} ads")
    return len(order)


def _write(session: Session, values: list[dict[str, int]]) -> None:
    # An ad may have been erased since.
    numbers = select(Ad.number).where(Ad.number.in_([value["number"] for value in values])).order_by(Ad.number)
    there = set(session.scalars(numbers.with_for_update()))
    session.execute(update(Ad), [value for value in values if value["number"] in there])


def _waiting(session: Session, cluster_of: Mapping[int, int]) -> tuple[list[int], list[Candidate], list[int]]:
    """Ads that want readers: those that were read already, in the order they had; those that were not; and those that were
    not but are like one that was."""
    read = _read(session)
    columns = select(Ad.number, Ad.language, Ad.group_id, Suggestion.labels, exists().where(Feedback.ad_id == Ad.id))
    wanted = Ad.slots_left > 0, Ad.state != AdState.RESOLVED
    rows = session.execute(columns.outerjoin(Ad.suggestion).where(*wanted).order_by(Ad.rank, Ad.number)).all()
    groups_read = set(
        session.scalars(select(Ad.group_id).where(Ad.group_id.is_not(None), Ad.number.in_(select(Assignment.ad_number))))
    )
    started, fresh, copies = [], [], []
    for number, language, group, labels, has_feedback in rows:
        if number in read:
            started.append(number)
        elif group in groups_read:
            copies.append(number)
        else:
            fresh.append(
                Candidate(
                    ad_id=str(number),
                    language=language,
                    group=group and str(group),
                    probabilities={label: said["probability"] for label, said in (labels or {}).items()},
                    cluster=cluster_of.get(number),
                    feedback=has_feedback,
                )
            )
    return started, sorted(fresh, key=lambda candidate: int(candidate.ad_id)), copies


def _read(session: Session) -> set[int]:
    """Ads that somebody has, or is done with."""
    states = (AssignmentState.OPEN, AssignmentState.DONE)
    return set(session.scalars(select(Assignment.ad_number).where(Assignment.state.in_(states), ~Assignment.gold).distinct()))


def _clusters(session: Session) -> dict[int, int]:
    ads = session.execute(select(Ad.number, Ad.text, Ad.language).where(Ad.gold.is_(None)).order_by(Ad.number)).all()
    found = clusters_by_language([ad.text for ad in ads], [ad.language for ad in ads])
    return {ad.number: int(cluster) for ad, cluster in zip(ads, found, strict=True)}


def _coverage(session: Session) -> dict[tuple[str, str], float]:
    """(label, language) → labelled ads that have it; an ad on which opinions differ counts for the share that say so."""
    opinions = (
        select(Ad.number, Ad.language, StoredAnnotation.labels)
        .join(Assignment, Assignment.ad_number == Ad.number)
        .join(StoredAnnotation, StoredAnnotation.assignment_id == Assignment.id)
        .where(Assignment.state == AssignmentState.DONE, StoredAnnotation.cannot_decide.is_(None))
    )
    of_ad: dict[int, list[tuple[str, dict[str, bool]]]] = defaultdict(list)
    for number, language, labels in session.execute(opinions):
        of_ad[number].append((language, labels))
    coverage: dict[tuple[str, str], float] = defaultdict(float)
    for said in of_ad.values():
        for language, labels in said:
            for label, present in labels.items():
                coverage[label, language] += present / len(said)
    return coverage
