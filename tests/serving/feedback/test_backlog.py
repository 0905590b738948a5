"""What no export has taken, in the figures."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.feedback import backlog as backlog_module
from serving.feedback.backlog import exported, note_exported
from serving.feedback.export import export
from serving.feedback.segments import segments_of
from tests.serving.exposition import Exposition
from tests.serving.feedback.conftest import OpenOutbox, put

OpenClient = Callable[..., TestClient]


def test_what_no_export_has_taken_is_counted_by_records_segments_bytes_and_age(
    folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    outbox = open_outbox(folder, segment_bytes=100)
    nothing = outbox.backlog()
    assert nothing is not None
    assert (nothing.records, nothing.segments, nothing.bytes, nothing.oldest) == (0, 0, 0, None)
    before = datetime.now(UTC)
    put(outbox, "k1", "a1", "a2")
    between = datetime.now(UTC)
    put(outbox, "k2", "a3")
    first, second = segments_of(folder)
    all_of_it = outbox.backlog()
    assert all_of_it is not None
    assert (all_of_it.records, all_of_it.segments) == (3, 2)
    assert all_of_it.bytes == first.stat().st_size + second.stat().st_size
    assert all_of_it.oldest is not None
    assert before <= all_of_it.oldest <= between

    export(folder, tmp_path / "one.ndjson")
    put(outbox, "k3", "a4")
    rest = outbox.backlog()
    assert rest is not None
    assert (rest.records, rest.segments, rest.bytes) == (1, 1, segments_of(folder)[2].stat().st_size)
    assert rest.oldest is not None
    assert rest.oldest > between


def test_it_is_the_same_after_a_new_start_and_when_segments_were_removed(
    folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    outbox = open_outbox(folder, segment_bytes=100)
    for number in range(3):
        put(outbox, f"k{number}")
    outbox.close()
    again = open_outbox(folder)
    found = again.backlog()
    assert found is not None
    assert (found.records, found.segments, found.oldest is not None) == (3, 3, True)
    again.close()
    export(folder, tmp_path / "out.ndjson")
    segments_of(folder)[0].unlink()
    last = open_outbox(folder).backlog()
    assert last is not None
    assert (last.records, last.segments, last.bytes, last.oldest) == (0, 0, 0, None)


def test_an_export_of_earlier_records_takes_nothing_back(folder: Path, open_outbox: OpenOutbox) -> None:
    open_outbox(folder)
    note_exported(folder, 7)
    note_exported(folder, 3)
    assert exported(folder) == 7
    assert (folder / "exported").stat().st_mode & 0o777 == 0o600


def test_an_export_is_made_where_nothing_may_be_noted(
    folder: Path, tmp_path: Path, open_outbox: OpenOutbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(open_outbox(folder), "k1")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(backlog_module.os, "fchown", refuse)
    caplog.set_level(logging.WARNING)
    assert export(folder, tmp_path / "out.ndjson").count == 1
    assert (tmp_path / "out.ndjson").read_bytes()
    assert "could not be noted (Permission denied)" in caplog.text


def test_the_gauges_are_there_from_the_first_feedback_on(open_client: OpenClient, eager_scorer: Scorer, folder: Path) -> None:
    client = open_client(lambda: eager_scorer, feedback_dir=folder)
    assert "signaal_feedback_unexported_records" not in Exposition(client).names
    body = {"items": [{"id": name, "labels": {"debt_or_fees": "present"}} for name in ("a1", "a2")]}
    assert client.post("/v1/feedback", json=body, headers={"Idempotency-Key": "k1"}).status_code == 202
    found = Exposition(client)
    assert found.value("signaal_feedback_unexported_records") == 2
    assert found.value("signaal_feedback_unexported_segments") == 1
    assert found.value("signaal_feedback_unexported_bytes") == segments_of(folder)[0].stat().st_size
    assert 0 < found.value("signaal_feedback_unexported_seconds") < 60
