"""The real outbox of the scoring API hands over what labelling reads. (The rooms pass data; only this test knows both.)"""

from pathlib import Path

from sqlalchemy import select

from labeling.intake.feedback import import_feedback
from labeling.store.database import Database
from labeling.store.tables import Ad, Feedback
from serving.feedback.erasure import erase
from serving.feedback.export import export
from serving.feedback.outbox import Outbox, Submission
from serving.feedback.schemas import FeedbackItem
from tests.labeling.conftest import NOW

ITEM = {
    "id": "a1",
    "labels": {"debt_or_fees": "present"},
    "text": "Pickers wanted. The bus costs 900.",
    "spans": [{"label": "debt_or_fees", "start": 16, "end": 33}],
    "found_at": "2026-11-25T14:03:00Z",
    "language": "en",
}


def test_an_export_of_the_real_outbox_comes_in_and_its_erasure_too(sqlite_database: Database, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.open()
    try:
        items = [FeedbackItem.model_validate(ITEM)]
        outbox.submit(Submission.of("key-1", ITEM, None, "1.0", items)).result(30)
    finally:
        outbox.close()
    export(tmp_path / "outbox", tmp_path / "feedback.ndjson")
    assert import_feedback(sqlite_database, tmp_path / "feedback.ndjson", NOW).new == 1
    with sqlite_database.read() as session:
        assert session.scalars(select(Ad.text)).one() == ITEM["text"]
        assert session.scalars(select(Feedback)).one().spans == [{"start": 16, "end": 33, "label": "debt_or_fees"}]

    erase(tmp_path / "outbox", "a1")
    export(tmp_path / "outbox", tmp_path / "after.ndjson")
    assert import_feedback(sqlite_database, tmp_path / "after.ndjson", NOW).erased_ads == ["a1"]
    with sqlite_database.read() as session:
        assert session.scalars(select(Ad)).all() == []
