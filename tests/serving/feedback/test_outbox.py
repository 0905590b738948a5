import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.errors import KeyReusedError, LineFullError, NotStoredError, OutboxError
from serving.feedback import outbox as outbox_module
from serving.feedback import writer
from serving.feedback.outbox import Outbox
from serving.feedback.segments import segment_path
from tests.serving.feedback.conftest import OpenOutbox, ad_ids, put, records, submission


class Disk:
    """The real ``fsync``, which can be held up or refuse; counts."""

    def __init__(self) -> None:
        self.syncs, self.free = 0, threading.Event()
        self.free.set()
        self.refuses: OSError | None = None

    def fsync(self, descriptor: int) -> None:
        assert self.free.wait(30)
        self.syncs += 1
        if self.refuses:
            raise self.refuses
        os.fsync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Of the writer alone."""
    disk = Disk()

    class Os:
        fsync = staticmethod(disk.fsync)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(writer, "os", Os())
    return disk


def test_one_key_sent_by_many_at_once_is_stored_once_and_answered_alike(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox, start = open_outbox(folder), threading.Barrier(8)

    def send(_: int) -> list[tuple[int, int]]:
        start.wait()
        receipts = [put(outbox, f"k{number}", f"a{number}", f"b{number}") for number in range(40)]
        return [(receipt.first, receipt.last) for receipt in receipts]

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(send, range(8))
    assert all(other == first for other in others)
    assert len(set(first)) == 40
    assert sorted(map(str, ad_ids(folder))) == sorted([f"{letter}{number}" for letter in "ab" for number in range(40)])
    assert [record.seq for record in records(folder)] == list(range(1, 81))


def test_requests_that_wait_for_the_disk_share_one_sync(folder: Path, open_outbox: OpenOutbox, disk: Disk) -> None:
    outbox = open_outbox(folder)
    put(outbox, "first")
    disk.free.clear()
    held = outbox.submit(submission("held"))
    while outbox._waiting:
        time.sleep(0.01)
    before = disk.syncs
    others = [outbox.submit(submission(f"k{number}")) for number in range(100)]
    assert not held.done()
    disk.free.set()
    assert [future.result(30).first for future in (held, *others)] == list(range(2, 103))
    assert disk.syncs == before + 2
    assert {record.synced for record in records(folder)} == {0, 1, 2}


def test_nothing_is_acknowledged_before_it_is_on_disk(folder: Path, open_outbox: OpenOutbox, disk: Disk) -> None:
    outbox = open_outbox(folder)
    disk.free.clear()
    future = outbox.submit(submission("k1"))
    again = outbox.submit(submission("k1"))
    assert not again.cancel()  # by a caller who leaves
    time.sleep(0.2)
    assert not future.done()
    assert not again.done()
    disk.free.set()
    assert future.result(30) == again.result(30)


@pytest.mark.parametrize("while_waiting", [True, False])
def test_a_key_with_another_body_is_refused(folder: Path, open_outbox: OpenOutbox, disk: Disk, while_waiting: bool) -> None:
    outbox = open_outbox(folder)
    if while_waiting:
        disk.free.clear()
    first = outbox.submit(submission("k1", "a1"))
    if not while_waiting:
        first.result(30)
    with pytest.raises(KeyReusedError):
        outbox.submit(submission("k1", "a2"))
    disk.free.set()
    first.result(30)
    assert ad_ids(folder) == ["a1"]


def test_keys_are_remembered_over_a_restart_and_are_each_callers_own(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1", "a1", caller="key-1")
    outbox.close()
    again = open_outbox(folder)
    assert put(again, "k1", "a1", caller="key-1").first == 1
    assert put(again, "k1", "a2", caller="key-2").first == 2
    assert put(again, "k1", "a3").first == 3
    assert [record.key for record in records(folder)] == ["key-1", "key-2", None]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("undo_fails", [True, False])
def test_a_disk_that_refuses_leaves_nothing_behind_and_may_take_it_later(
    folder: Path, open_outbox: OpenOutbox, disk: Disk, code: int, undo_fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1", "a1")
    if not undo_fails:
        monkeypatch.setattr(writer.SegmentWriter, "_undo", lambda self, file, size: file.truncate(size))
    disk.refuses = OSError(code, os.strerror(code))
    for _ in range(2):
        with pytest.raises(NotStoredError) as caught:
            put(outbox, "k2", "a2", "a3")
        assert ("the disk is full" in str(caught.value)) == (code == errno.ENOSPC)
        assert caught.value.retry_after > 0
    assert put(outbox, "k1", "a1").first == 1
    disk.refuses = None
    assert put(outbox, "k3", "a4").first == 2
    assert put(outbox, "k2", "a2", "a3").first == 3
    outbox.close()
    assert ad_ids(folder) == ["a1", "a4", "a2", "a3"]
    assert [record.seq for record in records(folder)] == [1, 2, 3, 4]


def test_too_many_that_wait_are_refused_and_one_large_request_never_is(
    folder: Path, open_outbox: OpenOutbox, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_WAITING", 3)
    outbox = open_outbox(folder)
    disk.free.clear()
    held = outbox.submit(submission("held"))
    while outbox._waiting:
        time.sleep(0.01)
    large = outbox.submit(submission("large", "a1", "a2", "a3", "a4"))
    with pytest.raises(LineFullError) as caught:
        outbox.submit(submission("more"))
    assert caught.value.retry_after == 1
    disk.free.set()
    assert (held.result(30).last, large.result(30).last) == (1, 5)
    assert put(outbox, "more").first == 6


def test_closing_stores_what_waits_and_then_takes_nothing(folder: Path, open_outbox: OpenOutbox, disk: Disk) -> None:
    outbox = open_outbox(folder)
    disk.free.clear()
    futures = [outbox.submit(submission(f"k{number}")) for number in range(5)]
    closing = threading.Thread(target=outbox.close)
    closing.start()
    disk.free.set()
    closing.join(30)
    assert [future.result(0).first for future in futures] == [1, 2, 3, 4, 5]
    with pytest.raises(NotStoredError):
        outbox.submit(submission("late"))
    assert put(open_outbox(folder), "late").first == 6


def test_a_second_writer_is_refused_until_the_first_has_ended(folder: Path, open_outbox: OpenOutbox) -> None:
    first = open_outbox(folder)
    with pytest.raises(OutboxError, match="Another server keeps its feedback in "):
        Outbox(folder).open()
    first.close()
    open_outbox(folder)


def test_records_that_go_missing_under_a_running_server_are_never_passed_over(
    folder: Path, open_outbox: OpenOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1")
    put(outbox, "k2")
    segment = segment_path(folder, 1)
    older = segment.read_bytes().splitlines(keepends=True)[0]
    segment.with_suffix(".tmp").write_bytes(older)
    segment.with_suffix(".tmp").replace(segment)  # somebody puts an old backup back
    with pytest.raises(NotStoredError):
        put(outbox, "k3")
    assert "ends with record 1, but 2 was stored" in caplog.text


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutboxError, match=r"file/feedback: Not a directory\. SIGNAAL_SERVE_FEEDBACK_DIR names"):
        Outbox(tmp_path / "file" / "feedback").open()
