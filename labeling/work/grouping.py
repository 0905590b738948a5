"""Near-duplicates put into groups, so that a reviewer reads one of a group, and the queue offers one of a group first."""

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, insert, select, update
from sqlalchemy.orm import Session

from labeling.in_processes import in_processes
from labeling.near_duplicates import NearDuplicateIndex, sketch_of
from labeling.store.database import Database
from labeling.store.tables import Ad, AdSketch
from labeling.work import audit
from labeling.work.ranks import LAST_RANKS

BATCH = 1000

_chance = secrets.SystemRandom()


def ungrouped_count(session: Session) -> int:
    """How many ads were not compared with the others yet."""
    return session.scalar(select(func.count()).select_from(Ad).where(~_has_sketch())) or 0


def group_ads(database: Database, now: datetime, done: Callable[[int], None] = lambda _: None) -> int:
    """Compare ads that came since the last time with all others; how many of them are like an earlier one. Goes on where it
    was stopped.

    Args:
        done: is told how many ads more are done with.
    """
    with database.read() as session:
        index = _restored(session)
    copies, compared = 0, 0
    for sketches in in_processes(_sketches, _ungrouped(database)):
        groups = {number: int(index.add_sketch(str(number), sketch)) for number, sketch in sketches.items()}
        with database.write() as session:
            copies += _store(session, sketches, groups)
        compared += len(sketches)
        done(len(sketches))
    if compared:
        with database.write() as session:
            audit.record(session, now, None, audit.Action.GROUPED, detail=f"{compared} ads, {copies} like an earlier one")
    return copies


def _ungrouped(database: Database) -> Iterator[list[tuple[int, str]]]:
    """Number and text of the ads that were not compared yet, a thousand at a time."""
    last = 0
    while True:
        with database.read() as session:
            waiting = select(Ad.number, Ad.text).where(~_has_sketch(), Ad.number > last).order_by(Ad.number).limit(BATCH)
            ads = session.execute(waiting).tuples().all()
        if not ads:
            return
        yield list(ads)
        last = ads[-1][0]


def _sketches(ads: list[tuple[int, str]]) -> dict[int, bytes]:
    return {number: sketch_of(text) for number, text in ads}


def _restored(session: Session) -> NearDuplicateIndex:
    index = NearDuplicateIndex()
    rows = select(AdSketch.ad_number, AdSketch.sketch, Ad.group_id).join(Ad, Ad.number == AdSketch.ad_number)
    for row in session.execute(rows.order_by(AdSketch.ad_number).execution_options(yield_per=BATCH)):
        index.restore(str(row.ad_number), row.sketch, str(row.group_id or row.ad_number))
    return index


def _store(session: Session, sketches: dict[int, bytes], groups: dict[int, int]) -> int:
    # Ads, or the first of their group, may have been erased meanwhile.
    numbers = select(Ad.number).where(Ad.number.in_({*groups, *groups.values()})).order_by(Ad.number).with_for_update()
    there = set(session.scalars(numbers))
    kept = [{"ad_number": number, "sketch": sketch} for number, sketch in sketches.items() if number in there]
    if kept:
        session.execute(insert(AdSketch), kept)
    copies = {number: group for number, group in groups.items() if group != number and {number, group} <= there}
    firsts = set(copies.values())
    session.execute(update(Ad).where(Ad.number.in_(firsts), Ad.group_id.is_(None)).values(group_id=Ad.number))
    if copies:
        moved = [
            {"number": number, "group_id": group, "rank": _chance.randrange(*LAST_RANKS)} for number, group in copies.items()
        ]
        session.execute(update(Ad), moved)
    return len(copies)


def _has_sketch() -> ColumnElement[bool]:
    return exists().where(AdSketch.ad_number == Ad.number)
