from pathlib import Path

import pytest

from labeling.cli import main
from models.example import read_examples


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["signaal-label", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_check_counts_the_corpus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "corpus", "check") == 0
    assert "no rule is broken" in capsys.readouterr().out


def test_check_fails_on_a_broken_line_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "en.jsonl").write_text("{}\n")
    assert call(monkeypatch, "corpus", "check", "--folder", str(tmp_path)) == 1
    assert "en.jsonl:1: id" in capsys.readouterr().err.replace("\n", "")


def test_export_writes_examples_that_training_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "data" / "corpus.jsonl"
    assert call(monkeypatch, "corpus", "export", str(out)) == 0
    examples = list(read_examples(out))
    assert {e.split for e in examples} == {"train", "validation", "test"}
    assert "synthetic" in out.with_suffix(".md").read_text()


def test_an_empty_folder_is_a_plain_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(monkeypatch, "corpus", "check", "--folder", str(tmp_path)) == 1
    assert "holds no" in capsys.readouterr().err
