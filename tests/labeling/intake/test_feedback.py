import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select

from labeling.errors import IntakeError
from labeling.intake.feedback import FeedbackReport, import_feedback
from labeling.store.database import Database
from labeling.store.tables import Ad, Feedback
from labeling.work.retention import erase_ad, purge
from tests.labeling.conftest import NOW, TEXT, add_ads, set_project

OUTBOX = "0123456789ab"
WORDS = "Pickers wanted, call 06-12345678. The bus costs 900."


def line(seq: int, item: dict[str, object] | None, **more: object) -> bytes:
    """A record as ``serving.feedback.record`` writes it; docs/serving.md has the table."""
    record = {
        "format": 1,
        "outbox": OUTBOX,
        "seq": seq,
        "synced": seq - 1,
        "received_at": "2026-11-25T14:03:00Z",
        "request": {"id": "aa", "body": "bb", "part": 1, "parts": 1},
        "taxonomy": "1.0",
        **({"item": item} if item else {"erased_at": "2026-11-26T14:03:00Z"}),
        **more,
    }
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    return body + b',"crc32":"%08x"}\n' % zlib.crc32(body)


WITH_TEXT: dict[str, object] = {
    "id": "a1",
    "labels": {"debt_or_fees": "present", "minor_age_cue": "unsure"},
    "text": WORDS,
    "spans": [{"label": "debt_or_fees", "start": 34, "end": 52}],
    "reviewer": "desk-2",
    "document_type": "recruitment_post",
    "note": "seen before under 0612345678",
}
WITHOUT_TEXT: dict[str, object] = {"id": "ad-0", "labels": {"debt_or_fees": "absent"}}


def take_in(database: Database, tmp_path: Path, *lines: bytes) -> FeedbackReport:
    path = tmp_path / "feedback.ndjson"
    path.write_bytes(b"".join(lines))
    return import_feedback(database, path, NOW)


def stored(database: Database) -> list[Feedback]:
    with database.read() as session:
        return list(session.scalars(select(Feedback).order_by(Feedback.seq)))


def ads(database: Database) -> dict[str, Ad]:
    with database.read() as session:
        return {ad.id: ad for ad in session.scalars(select(Ad))}


def test_what_was_said_is_kept_once_and_a_text_becomes_an_ad(database: Database, tmp_path: Path) -> None:
    add_ads(database, 1)
    lines = line(1, WITH_TEXT), line(2, WITHOUT_TEXT)
    report = take_in(database, tmp_path, *lines)
    assert (report.new, report.known, report.ads.imported, report.problems) == (2, 0, 1, [])
    first, second = stored(database)
    assert (first.ad_id, first.labels, first.reviewer) == ("a1", WITH_TEXT["labels"], "desk-2")
    assert first.spans == [{"start": 34, "end": 52, "label": "debt_or_fees"}]
    assert second.ad_id == "ad-0"
    ad = ads(database)["a1"]
    assert ad.source == f"feedback:{OUTBOX}"
    assert len(ad.text) == len(WORDS)
    assert "12345678" not in ad.text + str(first.note)
    again = take_in(database, tmp_path, *lines, *lines, line(3, WITHOUT_TEXT), line(3, WITHOUT_TEXT))
    assert (again.new, again.known, again.ads.imported) == (1, 5, 0)


def test_what_was_erased_there_is_erased_here(database: Database, tmp_path: Path) -> None:
    add_ads(database, 1)
    take_in(
        database,
        tmp_path,
        line(1, WITH_TEXT),
        line(2, WITHOUT_TEXT),
        line(3, {"id": "gone", "labels": {"debt_or_fees": "absent"}}),
    )
    report = take_in(database, tmp_path, line(1, None), line(2, None), line(3, None), line(4, None))
    assert (report.erased, report.erased_ads) == (3, ["a1"])
    assert [(one.ad_id, one.labels, one.note) for one in stored(database)] == 3 * [("", {}, None)]
    assert take_in(database, tmp_path, line(1, None), line(2, None)).erased == 0
    # Imported from elsewhere: the outbox's "ad-0" need not be the same ad.
    assert list(ads(database)) == ["ad-0"]


def erase(database: Database) -> None:
    with database.write() as session:
        assert erase_ad(session, "a1", None, NOW)


def purge_all(database: Database) -> None:
    set_project(database, retention_days=1)
    assert purge(database, None, NOW + timedelta(days=1)) == ["a1"]


def test_known_records_are_asked_for_once_however_many_there_are(sqlite_database: Database, tmp_path: Path) -> None:
    def statements(*lines: bytes) -> int:
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            asked.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            take_in(sqlite_database, tmp_path, *lines)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        return len(asked)

    many = [line(seq, {**WITHOUT_TEXT, "id": f"ad-{seq}"}) for seq in range(1, 21)]
    assert statements(*many) == statements(line(21, WITHOUT_TEXT)), "of new ones"
    assert statements(*many) == statements(*many[:1]), "of known ones"


def test_a_record_that_is_said_and_erased_in_one_export_is_erased(database: Database, tmp_path: Path) -> None:
    report = take_in(database, tmp_path, line(1, WITH_TEXT), line(1, None), line(1, None), line(1, WITH_TEXT))
    assert (report.new, report.known, report.erased) == (1, 1, 1)
    assert [(one.ad_id, one.labels) for one in stored(database)] == [("", {})]
    assert ads(database) == {}


@pytest.mark.parametrize("forget", [erase, purge_all])
def test_what_was_forgotten_here_stays_away_when_its_export_is_read_again(
    database: Database, tmp_path: Path, forget: Callable[[Database], None]
) -> None:
    take_in(database, tmp_path, line(1, WITH_TEXT), line(2, {**WITH_TEXT, "reviewer": "desk-3"}))
    forget(database)
    again = take_in(database, tmp_path, line(1, WITH_TEXT), line(2, {**WITH_TEXT, "reviewer": "desk-3"}))
    assert (again.new, again.known, again.ads.imported) == (0, 2, 0)
    assert ads(database) == {}
    assert [(one.ad_id, one.labels, one.note) for one in stored(database)] == 2 * [("", {}, None)]


def test_spans_of_another_text_are_left_out(database: Database, tmp_path: Path) -> None:
    add_ads(database, 1)
    item = {**WITH_TEXT, "id": "ad-0"}
    report = take_in(database, tmp_path, line(1, item))
    assert [problem.what for problem in report.problems] == [
        "id: this id is there already, with another text; the text stays as it was"
    ]
    assert stored(database)[0].spans == []
    assert ads(database)["ad-0"].text == TEXT.format(0)


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (line(1, WITH_TEXT).replace(b"900", b"901"), "CRC-32"),
        (line(1, WITH_TEXT)[:-30], "CRC-32"),
        (line(1, WITH_TEXT, format=2), "no record of feedback of format 1"),
        (line(1, {"id": "a1"}), "no record of feedback"),
    ],
)
def test_a_damaged_record_is_named_and_the_rest_comes_in(
    sqlite_database: Database, tmp_path: Path, damaged: bytes, said: str
) -> None:
    report = take_in(sqlite_database, tmp_path, damaged if damaged.endswith(b"\n") else damaged + b"\n", line(2, WITHOUT_TEXT))
    assert report.new == 1
    assert report.problems[0].line == 1
    assert said in report.problems[0].what
    assert "Pickers" not in report.problems[0].what


def test_a_missing_export_is_a_plain_error(sqlite_database: Database, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="Cannot read"):
        import_feedback(sqlite_database, tmp_path / "none.ndjson", NOW + timedelta(days=1))
