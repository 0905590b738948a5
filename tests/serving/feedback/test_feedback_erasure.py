import os
import threading
from pathlib import Path

import pytest

from serving.errors import KeyReusedError, OutboxError
from serving.feedback import erasure
from serving.feedback.erasure import erase
from serving.feedback.segments import segment_path, segments_of
from tests.serving.feedback.conftest import OpenOutbox, ad_ids, put, records, submission

SECRET = "geheim-7"


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_every_finding_for_an_ad_is_gone_from_the_files_and_the_others_stay(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder, segment_bytes=800)
    for number in range(9):
        put(
            outbox,
            f"k{number}",
            SECRET if number % 4 == 1 else f"a{number}",
            text=f"Text of {number}, {SECRET}." * (number % 4 == 1) or None,
        )
    put(outbox, "k9", "a9", SECRET, "a10")
    untouched = {path: path.read_bytes() for path in segments_of(folder) if SECRET.encode() not in path.read_bytes()}
    assert untouched
    before = records(folder)

    assert erase(folder, SECRET) == 3
    assert SECRET.encode() not in everything_in(folder)
    assert ad_ids(folder) == ["a0", None, "a2", "a3", "a4", None, "a6", "a7", "a8", "a9", None, "a10"]
    after = records(folder)
    assert [record.seq for record in after] == [record.seq for record in before]
    assert [record.request.id for record in after] == [record.request.id for record in before]
    for one, other in zip(before, after, strict=True):
        if other.item is None:
            assert other.erased_at is not None
            assert other.request.body is None
        else:
            assert other.item == one.item
            assert other.erased_at is None
    assert [record.request.body is None for record in after[-3:]] == [True] * 3  # the body's digest was of all three
    assert all(path.read_bytes() == was for path, was in untouched.items())
    assert erase(folder, SECRET) == 0


def test_an_erased_finding_does_not_come_back_when_its_request_is_sent_again(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1", SECRET)
    assert erase(folder, SECRET) == 1
    assert put(outbox, "k1", SECRET).first == 1
    outbox.close()
    with pytest.raises(KeyReusedError):
        open_outbox(folder).submit(submission("k1", SECRET))
    assert ad_ids(folder) == [None]


def test_a_running_server_goes_on_in_the_new_file(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder, segment_bytes=4000)
    stop, erased = threading.Event(), []

    def erase_on_and_on() -> None:
        while not stop.is_set():
            erased.append(erase(folder, SECRET))

    eraser = threading.Thread(target=erase_on_and_on)
    eraser.start()
    for number in range(300):
        assert put(outbox, f"k{number}", SECRET if number % 3 == 0 else f"a{number}").first == number + 1
    stop.set()
    eraser.join(30)
    erased.append(erase(folder, SECRET))
    assert sum(erased) == 100
    assert len(erased) > 3
    assert SECRET.encode() not in everything_in(folder)
    assert ad_ids(folder) == [None if number % 3 == 0 else f"a{number}" for number in range(300)]
    outbox.close()
    assert put(open_outbox(folder), "new").first == 301


def test_an_erasure_that_was_killed_leaves_the_old_file_and_the_next_one_cleans_up(
    folder: Path, open_outbox: OpenOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(open_outbox(folder), "k1", "a1", SECRET)
    whole = segment_path(folder, 1).read_bytes()
    left = folder / (segment_path(folder, 1).name + ".new")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            erase(folder, SECRET)
    assert segment_path(folder, 1).read_bytes() == whole
    assert not left.exists()
    left.write_bytes(whole)  # as after kill -9
    assert erase(folder, "a1") == 1
    assert not left.exists()
    assert ad_ids(folder) == [None, SECRET]


def test_a_torn_tail_goes_too_and_damage_stops_the_erasure(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1", "a1")
    put(outbox, "k2", "a2")
    outbox.close()
    segment = segment_path(folder, 1)
    whole = segment.read_bytes()
    segment.write_bytes(whole + b'{"format":1,"item":{"id":"geheim-7"')
    assert erase(folder, SECRET) == 0
    assert segment.read_bytes() == whole
    damaged = whole.replace(b'"id":"a1"', b'"id":"b1"')
    segment.write_bytes(damaged)
    with pytest.raises(OutboxError, match="line 1 is damaged"):
        erase(folder, "a2")
    assert segment.read_bytes() == damaged


def test_one_erasure_at_a_time(folder: Path, open_outbox: OpenOutbox) -> None:
    open_outbox(folder)
    with erasure._alone(folder), pytest.raises(OutboxError, match="Another erasure is under way"):
        erase(folder, "a1")
    assert erase(folder, "a1") == 0


def test_the_new_file_belongs_to_whom_the_old_one_did(folder: Path, open_outbox: OpenOutbox) -> None:
    put(open_outbox(folder), "k1", "a1", SECRET)
    segment = segment_path(folder, 1)
    if os.geteuid() == 0:
        os.chown(segment, 65534, 65534)
    owner = segment.stat().st_uid
    erase(folder, SECRET)
    assert (segment.stat().st_uid, segment.stat().st_mode & 0o777) == (owner, 0o600)
