"""Ads into the database: bad rows reported by line, the rest imported, and the same file a second time changes nothing.

Contact details are masked before anything is stored. Masking and finding the language take most of the time, so a long file
is prepared by several processes, which the database never waits for.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from labeling.in_processes import in_processes
from labeling.intake.readers import Rows
from labeling.intake.rows import GoldAd, IncomingAd, Problem, checked_rows
from labeling.masking import mask_contacts
from labeling.store.database import Database
from labeling.store.tables import Ad, AdState, Assignment
from labeling.work import audit
from labeling.work.ranks import NEW_RANKS
from labeling.work.rules import load_project
from models.language import detect_language

BATCH = 1000
_chance = secrets.SystemRandom()
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class PreparedAd:
    """An ad as it will be stored; ``gold`` is the known answer of a gold item."""

    line: int
    id: str
    text: str
    language: str
    gold: dict[str, Any] | None = None


@dataclass(slots=True)
class ImportReport:
    """What became of the rows."""

    imported: int = 0
    known: int = 0
    """There already, with the same text."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.imported + self.known + len(self.problems)


def import_ads(
    database: Database,
    rows: Rows,
    source: str,
    now: datetime,
    *,
    gold: bool = False,
    done: Callable[[int], None] = lambda _: None,
) -> ImportReport:
    """Take rows in, a thousand a transaction.

    Args:
        source: where they come from; a file's name.
        gold: whether they are gold items; then each row has ``labels``, and may have ``spans`` and ``document_type``.
        done: is told how many rows more are done with.
    """
    report = ImportReport()
    for batch, problems in in_processes(partial(prepare, kind=GoldAd if gold else IncomingAd), in_batches(rows)):
        before = report.rows
        report.problems += problems
        if batch:
            with database.write() as session:
                store_ads(session, batch, source, now, report)
        done(report.rows - before)
    with database.write() as session:
        counts = f"{report.imported} imported, {report.known} known, {len(report.problems)} refused"
        audit.record(session, now, None, audit.Action.IMPORTED, detail=counts)
    report.problems.sort(key=lambda problem: problem.line)
    return report


def prepare(
    rows: Iterable[tuple[int, dict[str, Any]] | Problem], kind: type[IncomingAd]
) -> tuple[list[PreparedAd], list[Problem]]:
    """Rows checked, masked, and their language found where none is given."""
    read: list[tuple[int, dict[str, Any]]] = []
    problems: list[Problem] = []
    for row in rows:
        if isinstance(row, Problem):
            problems.append(row)
        else:
            read.append(row)
    good, refused = checked_rows(read, kind)
    ads = [
        PreparedAd(
            line,
            ad.id,
            mask_contacts(ad.text),
            ad.language or detect_language(ad.text)[0],
            ad.answer() if isinstance(ad, GoldAd) else None,
        )
        for line, ad in good
    ]
    return ads, problems + refused


def store_ads(session: Session, ads: Iterable[PreparedAd], source: str, now: datetime, report: ImportReport) -> None:
    """Store prepared ads that are not there yet, and count them in the report. An id that is there with another text is a
    problem: what people have read and judged is never changed under them."""
    by_id: dict[str, PreparedAd] = {}
    for ad in ads:
        if (first := by_id.setdefault(ad.id, ad)) is not ad:
            _count_known(report, ad, first.text)
    known = {row.id: row for row in session.execute(select(Ad.id, Ad.text, Ad.number, Ad.gold).where(Ad.id.in_(by_id)))}
    for ad_id, row in known.items():
        ad = by_id.pop(ad_id)
        if ad.gold is None or row.gold is not None or ad.text != row.text:
            _count_known(report, ad, row.text)
        else:
            _make_gold(session, row.number, ad, report)
    overlap = load_project(session).overlap
    values: list[dict[str, Any]] = [
        {
            "id": ad.id,
            "text": ad.text,
            "language": ad.language,
            "source": source[:100],
            "group_id": None,
            "rank": _chance.randrange(*NEW_RANKS),
            "slots_left": 0 if ad.gold else overlap,
            "state": AdState.OPEN,
            "gold": ad.gold,
            "erasing": False,
            "imported_at": now,
        }
        for ad in by_id.values()
    ]
    if values:
        dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        # Another import may bring the same ads at the same moment; in one order, so that the two do not block each other.
        values.sort(key=lambda row: str(row["id"]))
        adding = dialect.insert(Ad).on_conflict_do_nothing(index_elements=["id"]).returning(Ad.number)
        stored = len(session.execute(adding, values).all())
        report.imported += stored
        report.known += len(values) - stored


def in_batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """A thousand at a time, the last the rest."""
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _count_known(report: ImportReport, ad: PreparedAd, text: str) -> None:
    if ad.text == text:
        report.known += 1
    else:
        report.problems.append(Problem(ad.line, "id: this id is there already, with another text; the text stays as it was"))


def _make_gold(session: Session, number: int, ad: PreparedAd, report: ImportReport) -> None:
    stored = session.scalars(select(Ad).where(Ad.number == number).with_for_update()).one()
    if session.scalar(select(Assignment.id).where(Assignment.ad_number == number).limit(1)) is not None:
        report.problems.append(
            Problem(ad.line, "id: reviewers have this ad already; a gold item must be one that nobody has read")
        )
        return
    stored.gold, stored.slots_left = ad.gold, 0
    report.imported += 1
