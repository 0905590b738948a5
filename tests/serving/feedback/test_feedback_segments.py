"""What a kill or a power cut leaves of the last segment: acknowledged records stay, and none is invented."""

import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import OutboxError
from serving.feedback.outbox import Outbox
from serving.feedback.segments import SegmentReader, segment_path, segments_of
from tests.serving.feedback.conftest import OpenOutbox, ad_ids, put, records

REQUESTS = {"k1": ("a1",), "k2": ("a2", "a3", "a4"), "k3": ("a5",), "k4": ("a6", "a7")}


@pytest.fixture
def stored(tmp_path: Path) -> tuple[bytes, list[int]]:
    """A segment of four requests, one write each, and the places where a request ends."""
    outbox, ends = Outbox(tmp_path / "made"), [0]
    outbox.open()
    path = segment_path(tmp_path / "made", 1)
    for key, ads in REQUESTS.items():
        put(outbox, key, *ads)
        ends.append(path.stat().st_size)
    outbox.close()
    return path.read_bytes(), ends


def folder_with(parent: Path, data: bytes) -> Path:
    folder = parent / f"cut-{len(list(parent.iterdir()))}"
    folder.mkdir()
    segment_path(folder, 1).write_bytes(data)
    return folder


def test_cut_at_every_byte_the_requests_before_are_whole_and_none_is_invented(stored: tuple[bytes, list[int]]) -> None:
    data, ends = stored
    for cut in range(len(data) + 1):
        reader = SegmentReader(segment_path(Path(), 1), io.BytesIO(data[:cut]), cut)
        found = [tuple(one.record.item.id for one in request if one.record.item) for request in reader.requests()]
        whole = sum(end <= cut for end in ends[1:])
        assert found == list(REQUESTS.values())[:whole], cut
        assert reader.whole_bytes == ends[whole]
        reader.check_rest(may_be_torn=True)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_outbox_that_was_cut_anywhere_goes_on_where_it_was(
    data: st.DataObject, stored: tuple[bytes, list[int]], tmp_path: Path
) -> None:
    segment, ends = stored
    cut = data.draw(st.integers(0, len(segment)))
    folder = folder_with(tmp_path, segment[:cut])
    whole = sum(end <= cut for end in ends[1:])
    before = [ad for ads in list(REQUESTS.values())[:whole] for ad in ads]

    outbox = Outbox(folder)
    outbox.open()
    assert ad_ids(folder) == before
    for place, (key, ads) in enumerate(REQUESTS.items()):  # all are sent again, as a caller without an answer does
        receipt = put(outbox, key, *ads)
        assert receipt.last - receipt.first + 1 == len(ads), place
    outbox.close()
    assert ad_ids(folder) == [ad for ads in REQUESTS.values() for ad in ads]
    assert [record.seq for record in records(folder)] == list(range(1, 8))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_to_what_a_later_record_knows_of_is_told_and_never_cut(
    data: st.DataObject, stored: tuple[bytes, list[int]], tmp_path: Path
) -> None:
    segment, ends = bytearray(stored[0]), stored[1]
    place = data.draw(st.integers(0, ends[3] - 1))  # before the last write
    segment[place] ^= data.draw(st.integers(1, 255))
    folder = folder_with(tmp_path, bytes(segment))
    with pytest.raises(OutboxError, match=r"line [1-5] is damaged"):
        Outbox(folder).open()
    assert segment_path(folder, 1).read_bytes() == bytes(segment)


def test_a_line_that_was_taken_out_is_told(stored: tuple[bytes, list[int]], tmp_path: Path) -> None:
    segment, ends = stored
    folder = folder_with(tmp_path, segment[: ends[2]] + segment[ends[3] :])  # every line that is left is whole
    with pytest.raises(OutboxError, match="line 5 is damaged"):
        Outbox(folder).open()


def test_a_hole_in_a_write_that_was_never_acknowledged_is_cut(
    stored: tuple[bytes, list[int]], tmp_path: Path, open_outbox: OpenOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    segment, ends = bytearray(stored[0]), stored[1]
    segment[ends[3] + 10 : ends[3] + 100] = bytes(90)  # pages of a write may come to the disk in any order
    folder = folder_with(tmp_path, bytes(segment))
    outbox = open_outbox(folder)
    assert f"{ends[4] - ends[3]} bytes of a write that was never acknowledged were cut off" in caplog.text
    assert ad_ids(folder) == ["a1", "a2", "a3", "a4", "a5"]
    assert put(outbox, "new").first == 6


def test_a_segment_that_is_full_gets_nothing_more_and_all_are_read(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder, segment_bytes=1000)
    for number in range(1, 21):
        assert put(outbox, f"k{number}").first == number
    outbox.close()
    paths = segments_of(folder)
    assert len(paths) > 4
    assert all(1000 <= path.stat().st_size < 2000 for path in paths[:-1])
    assert [record.seq for record in records(folder)] == list(range(1, 21))
    assert len({record.outbox for record in records(folder)}) == 1
    again = open_outbox(folder, segment_bytes=1000)
    assert put(again, "k3").first == 3
    assert put(again, "k21").first == 21
    assert records(folder)[-1].outbox == records(folder)[0].outbox


@pytest.mark.parametrize("change", ["cut", "removed"])
def test_a_finished_segment_that_is_cut_or_removed_is_told(folder: Path, open_outbox: OpenOutbox, change: str) -> None:
    outbox = open_outbox(folder, segment_bytes=500)
    for number in range(8):
        put(outbox, f"k{number}")
    outbox.close()
    middle = segments_of(folder)[1]
    if change == "cut":
        os.truncate(middle, middle.stat().st_size - 1)
    else:
        middle.unlink()
    with pytest.raises(OutboxError, match="is damaged" if change == "cut" else "are missing"):
        Outbox(folder).open()


def test_the_oldest_segments_may_be_removed_and_numbers_go_on(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder, segment_bytes=500)
    for number in range(8):
        put(outbox, f"k{number}")
    outbox.close()
    segments_of(folder)[0].unlink()
    assert put(open_outbox(folder), "new").first == 9


def test_an_empty_last_segment_is_one_that_was_just_begun(folder: Path, open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(folder)
    put(outbox, "k1", "a1", "a2")
    outbox.close()
    segment_path(folder, 3).touch()
    assert put(open_outbox(folder), "k2").first == 3
    assert len(segments_of(folder)) == 2


def test_nobody_else_can_read_the_folder(folder: Path, open_outbox: OpenOutbox) -> None:
    put(open_outbox(folder), "k1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
