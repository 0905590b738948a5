"""What users of the scoring API said of its ads: an export of its outbox (``signaal-serve feedback export``; the format is in
docs/serving.md, "What is stored, and how").

An item with a text becomes an ad. Each record is taken in once, however often its export is read, and even if it was erased
here since. A record that was erased there is erased here too.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from labeling.errors import IntakeError
from labeling.intake.importing import ImportReport, in_batches, prepare, store_ads
from labeling.intake.rows import IncomingAd, Problem
from labeling.masking import mask_contacts
from labeling.store.database import Database
from labeling.store.tables import Ad, Feedback
from labeling.work import audit
from labeling.work.retention import blank_feedback, erase_ad
from models.example import Span

_END = re.compile(rb',"crc32":"([0-9a-f]{8})"}\n?$')


class FeedbackItem(BaseModel):
    """What labelling reads of an item."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1, max_length=200)
    labels: dict[str, Literal["present", "absent", "unsure"]]
    document_type: str | None = Field(default=None, max_length=40)
    text: str | None = None
    spans: tuple[Span, ...] = ()
    language: str | None = None
    reviewer: str | None = Field(default=None, max_length=64)
    note: str | None = Field(default=None, max_length=500)


class FeedbackRecord(BaseModel):
    """A line of the export."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    outbox: str = Field(pattern=r"^[0-9a-f]{12}$")
    seq: int = Field(ge=1)
    received_at: AwareDatetime
    item: FeedbackItem | None = None
    erased_at: AwareDatetime | None = None


@dataclass(slots=True)
class FeedbackReport:
    """What became of the records; ``ads`` are those that came in with a text."""

    new: int = 0
    known: int = 0
    erased: int = 0
    """Records that were here and are erased now."""
    erased_ads: list[str] = field(default_factory=list)
    """Their ids."""
    ads: ImportReport = field(default_factory=ImportReport)
    problems: list[Problem] = field(default_factory=list)


def import_feedback(database: Database, path: Path, now: datetime) -> FeedbackReport:
    """Take an export in.

    Raises:
        IntakeError: the file cannot be read.
    """
    report = FeedbackReport()
    for lines in in_batches(_lines(path)):
        records: list[tuple[int, FeedbackRecord]] = []
        for number, line in lines:
            record = _record(number, line)
            if isinstance(record, Problem):
                report.problems.append(record)
            else:
                records.append((number, record))
        with database.write() as session:
            _store(session, records, now, report)
    with database.write() as session:
        detail = f"feedback: {report.new} new, {report.known} known, {report.erased} erased, {len(report.problems)} refused"
        audit.record(session, now, None, audit.Action.IMPORTED, detail=detail)
    return report


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as lines:
            yield from enumerate(lines, start=1)
    except OSError as error:
        raise IntakeError(f"Cannot read {path}: {error.strerror}.") from error


def _record(number: int, line: bytes) -> FeedbackRecord | Problem:
    end = _END.search(line)
    if end is None or int(end[1], 16) != zlib.crc32(line[: end.start()]):
        return Problem(number, "does not match its CRC-32; it is damaged or not whole")
    try:
        return FeedbackRecord.model_validate_json(line)
    except ValidationError:
        return Problem(number, "is no record of feedback of format 1")


def _store(session: Session, records: list[tuple[int, FeedbackRecord]], now: datetime, report: FeedbackReport) -> None:
    keys = [(record.outbox, record.seq) for _, record in records]
    key_of = tuple_(Feedback.outbox, Feedback.seq)
    read = {(one.outbox, one.seq): one for one in session.scalars(select(Feedback).where(key_of.in_(keys)))}
    _store_texts(session, [one for one, key in zip(records, keys, strict=True) if key not in read], now, report)
    texts = dict(
        session.execute(select(Ad.id, Ad.text).where(Ad.id.in_({r.item.id for _, r in records if r.item}))).tuples().all()
    )
    for (_, record), key in zip(records, keys, strict=True):
        stored = read.get(key)
        if record.item is None:
            if stored is not None and stored.ad_id:
                _erase(session, stored, now, report)
        elif stored is not None:
            report.known += 1
        else:
            read[key] = _row(record, record.item, texts.get(record.item.id))  # a file may hold a record twice
            session.add(read[key])
            report.new += 1


def _store_texts(session: Session, records: list[tuple[int, FeedbackRecord]], now: datetime, report: FeedbackReport) -> None:
    """The texts become ads, by the outbox that they come from; the same ad may come from several reviewers."""
    of_outbox: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for number, record in records:
        if record.item is not None and record.item.text is not None:
            fields = record.item.model_dump(include={"id", "text", "language"})
            of_outbox.setdefault(record.outbox, []).append((number, fields))
    for outbox, rows in of_outbox.items():
        ads, problems = prepare(rows, IncomingAd)
        report.problems += problems
        store_ads(session, ads, source_of(outbox), now, report.ads)
    report.problems += report.ads.problems
    report.ads.problems.clear()


def source_of(outbox: str) -> str:
    """The source of ads whose text came from an outbox."""
    return f"feedback:{outbox}"


def _row(record: FeedbackRecord, item: FeedbackItem, text: str | None) -> Feedback:
    # Spans count the characters of the text that was sent; of another text they would point anywhere.
    fits = item.text is not None and text == mask_contacts(item.text)
    return Feedback(
        outbox=record.outbox,
        seq=record.seq,
        ad_id=item.id,
        labels=dict(item.labels),
        document_type=item.document_type,
        spans=[span.model_dump() for span in item.spans] if fits else [],
        reviewer=item.reviewer,
        note=item.note and mask_contacts(item.note),
        received_at=record.received_at,
    )


def _erase(session: Session, stored: Feedback, now: datetime, report: FeedbackReport) -> None:
    """What came from the outbox goes: the record, and the ad if its text came from there. An ad that was imported from
    elsewhere stays; its id may be another's name for another ad."""
    report.erased += 1
    source = session.scalar(select(Ad.source).where(Ad.id == stored.ad_id))
    if source == source_of(stored.outbox):
        report.erased_ads.append(stored.ad_id)
        erase_ad(session, stored.ad_id, None, now)
    else:
        blank_feedback(session, (Feedback.outbox == stored.outbox) & (Feedback.seq == stored.seq))
