"""Real outboxes in folders of the test's own, and what they hold."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.feedback.outbox import Outbox, Receipt, Submission
from serving.feedback.record import Record
from serving.feedback.schemas import FeedbackItem
from serving.feedback.segments import stored_requests

OpenOutbox = Callable[..., Outbox]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feedback"


@pytest.fixture
def open_outbox() -> Iterator[OpenOutbox]:
    """Open the outbox of a folder; it is closed after the test at the latest."""
    opened: list[Outbox] = []

    def start(folder: Path, **options: int) -> Outbox:
        outbox = Outbox(folder, **options)
        opened.append(outbox)
        outbox.open()
        return outbox

    yield start
    for outbox in opened:
        outbox.close()


def submission(key: str, *ad_ids: str, caller: str | None = None, **fields: object) -> Submission:
    items = [{"id": ad_id, "labels": {"debt_or_fees": "present"}, **fields} for ad_id in ad_ids or (f"ad-{key}",)]
    return Submission.of(key, {"items": items}, caller, "1.0", [FeedbackItem.model_validate(item) for item in items])


def put(outbox: Outbox, key: str, *ad_ids: str, **fields: object) -> Receipt:
    return outbox.submit(submission(key, *ad_ids, **fields)).result(30)  # type: ignore[arg-type]


def records(folder: Path) -> list[Record]:
    return [one.record for request in stored_requests(folder) for one in request]


def ad_ids(folder: Path) -> list[str | None]:
    """Of every record in order; None for an erased one."""
    return [None if record.item is None else record.item.id for record in records(folder)]
