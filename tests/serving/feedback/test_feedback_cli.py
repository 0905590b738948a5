"""``signaal-serve feedback``, and what ``signaal-serve api`` says of a folder that it cannot have."""

import json
import sys
from pathlib import Path

import pytest

from serving.cli import main
from serving.feedback.segments import segment_path, segments_of
from tests.serving.feedback.conftest import OpenOutbox, ad_ids, put


@pytest.fixture(autouse=True)
def _setting(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SIGNAAL_SERVE_FEEDBACK_DIR", str(folder))


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["signaal-serve", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_exports_follow_one_another_without_gap_or_overlap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    outbox = open_outbox(folder, segment_bytes=800)
    for number in range(5):
        put(outbox, f"k{number}", f"a{number}", f"b{number}")
    first, second, third = (tmp_path / f"{number}.ndjson" for number in range(3))
    assert call(monkeypatch, "feedback", "export", "-o", str(first)) == 0
    assert capsys.readouterr().err == f"10 records, 1 to 10: {first}. Next time: --after 10\n"
    assert first.stat().st_mode & 0o777 == 0o600
    assert [line["seq"] for line in lines(first)] == list(range(1, 11))
    assert first.read_bytes() == b"".join(path.read_bytes() for path in segments_of(folder))

    put(outbox, "k5", "a5")
    assert call(monkeypatch, "feedback", "export", "-o", str(second), "--after", "9") == 0
    assert [line["seq"] for line in lines(second)] == [10, 11]
    assert call(monkeypatch, "feedback", "export", "-o", str(third), "--after", "11") == 0
    assert third.read_bytes() == b""
    assert "holds nothing after record 11" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.partial"))


def test_records_whose_segment_was_removed_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    outbox = open_outbox(folder, segment_bytes=100)
    for number in range(4):
        put(outbox, f"k{number}")
    segments_of(folder)[0].unlink()
    assert call(monkeypatch, "feedback", "export", "-o", str(tmp_path / "out.ndjson")) == 0
    assert "Records 1 to 1 are no longer there" in capsys.readouterr().err


def test_what_cannot_be_exported_is_one_line_and_leaves_no_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    out = tmp_path / "out.ndjson"
    assert call(monkeypatch, "feedback", "export", "-o", str(out)) == 2
    assert "There is no folder" in capsys.readouterr().err
    outbox = open_outbox(folder)
    put(outbox, "k1", "a1")
    put(outbox, "k2", "a2")
    assert call(monkeypatch, "feedback", "export", "-o", str(tmp_path / "none" / "out.ndjson")) == 2
    assert "No such file or directory" in capsys.readouterr().err
    segment = segment_path(folder, 1)
    segment.write_bytes(segment.read_bytes().replace(b'"id":"a1"', b'"id":"b1"'))
    assert call(monkeypatch, "feedback", "export", "-o", str(out)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {segment}: line 1 is damaged")
    assert not out.exists()
    out.write_text("kept")
    assert call(monkeypatch, "feedback", "export", "-o", str(out)) == 2
    assert out.read_text() == "kept"


def test_erase_says_how_many_and_the_export_shows_them_as_erased(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path, open_outbox: OpenOutbox
) -> None:
    put(open_outbox(folder), "k1", "a1", "a2")
    assert call(monkeypatch, "feedback", "erase", "--ad-id", "a1") == 0
    assert capsys.readouterr().err == f"1 records erased in {folder}.\n"
    assert ad_ids(folder) == [None, "a2"]
    assert call(monkeypatch, "feedback", "export", "-o", str(tmp_path / "out.ndjson")) == 0
    erased, kept = lines(tmp_path / "out.ndjson")
    assert ("erased_at" in erased, "item" in erased) == (True, False)
    assert ("erased_at" in kept, "item" in kept) == (False, True)


def test_a_second_server_on_the_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, open_outbox: OpenOutbox
) -> None:
    open_outbox(folder)
    assert call(monkeypatch, "api", "--port", "0") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: Another server keeps its feedback in {folder}; each needs a folder of its own.")
