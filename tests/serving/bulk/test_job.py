"""Whole files through the real scorer."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from rich.console import Console

from models.runtime import Scorer
from serving.bulk.flat import flat_schema
from serving.bulk.job import Format, Job, score_file
from serving.bulk.journal import Paths, State
from serving.errors import BulkError
from serving.records import Columns
from serving.settings import ServingSettings
from tests.serving.conftest import Fussy

ROOT = Path(__file__).parents[3]
TEXTS = [f"Ad {i}: je paspoort blijft op kantoor 🙂 en de bus kost {i}00 euro." for i in range(10)]
LABELS = ("debt_or_fees", "states_limits")

Scored = Callable[..., State | None]


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def score(eager_scorer: Scorer, said: io.StringIO) -> Scored:
    def run(
        source: Path, out: Path, *, scorer: Scorer = eager_scorer, batch: int = 4, resume: bool = False, **job: Any
    ) -> State | None:
        options: dict[str, Any] = {"source_format": "ndjson", "columns": Columns(), "labels": LABELS} | job
        settings = ServingSettings(bulk_batch=batch)
        return score_file(Job(source, out, resume=resume, **options), lambda: scorer, settings, Console(file=said, width=200))

    return run


def written(folder: Path, kind: Format) -> Path:
    """The ads in a file of that kind; the fourth has no text, the seventh is blank."""
    texts: list[str | None] = [*TEXTS]
    texts[3], texts[6] = None, " "
    rows = [{"id": f"a{i}", "text": text} for i, text in enumerate(texts)]
    path = folder / f"in.{kind}"
    if kind == "ndjson":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=3)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text"])
            writer.writeheader()
            writer.writerows(rows)
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("kind", "first"), [("ndjson", 1), ("csv", 2), ("parquet", 1)])
def test_every_line_is_scored_or_kept_aside(tmp_path: Path, score: Scored, said: io.StringIO, kind: Format, first: int) -> None:
    out = tmp_path / "out.ndjson"
    state = score(written(tmp_path, kind), out, source_format=kind)
    assert state
    assert (state.scored, state.rejected) == (8, 2)
    results, rejected = lines_of(out), lines_of(Paths(out).rejected)
    assert [result["line"] - first for result in results] == [0, 1, 2, 4, 5, 7, 8, 9]
    assert [one["line"] - first for one in rejected] == [3, 6]
    assert all(one["reason"].startswith("text: ") for one in rejected)
    for result in results:
        assert set(result) == {"id", "language", "document_type", "indicators", "counter_indicators", "line", "model"}
        assert result["id"] == f"a{result['line'] - first}"
        (debt,) = result["indicators"].values()
        for span in debt["evidence"]:
            assert TEXTS[result["line"] - first][span["start"] : span["end"]] == span["text"]
    assert f"line {3 + first}: {rejected[0]['reason']}" in said.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"in.{kind}", "out.ndjson", "out.ndjson.rejected.ndjson"]


def test_csv_and_parquet_come_out_with_the_same_figures_as_ndjson(tmp_path: Path, score: Scored) -> None:
    source = written(tmp_path, "ndjson")
    for name in ("out.ndjson", "out.csv", "out.parquet"):
        score(source, tmp_path / name)
    expected = [result["indicators"]["debt_or_fees"]["probability"] for result in lines_of(tmp_path / "out.ndjson")]
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == table.schema.names == flat_schema(LABELS).names
    assert table["debt_or_fees_probability"].to_pylist() == expected
    assert [float(row["debt_or_fees_probability"]) for row in rows] == expected
    assert not list(tmp_path.glob("*.partial"))


def test_without_evidence_and_with_all_labels(tmp_path: Path, score: Scored, eager_scorer: Scorer) -> None:
    score(written(tmp_path, "ndjson"), tmp_path / "out.ndjson", labels=None, evidence=False)
    for result in lines_of(tmp_path / "out.ndjson"):
        found = result["indicators"] | result["counter_indicators"]
        assert tuple(found) == eager_scorer.taxonomy.label_ids
        assert all(one["evidence"] == [] for one in found.values())


def test_a_complete_job_is_not_done_twice(tmp_path: Path, score: Scored) -> None:
    source, out = written(tmp_path, "ndjson"), tmp_path / "out.ndjson"
    score(source, out)
    before = out.read_bytes()
    with pytest.raises(BulkError, match="is there already"):
        score(source, out)
    assert score(source, out, resume=True) is None
    assert out.read_bytes() == before


def test_an_empty_file_gives_an_empty_result(tmp_path: Path, score: Scored) -> None:
    (tmp_path / "in.ndjson").write_bytes(b"\n\n")
    state = score(tmp_path / "in.ndjson", tmp_path / "out.csv")
    assert state
    assert (state.scored, state.rejected) == (0, 0)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1


def test_a_text_that_the_model_fails_on_is_kept_aside_alone(
    tmp_path: Path, score: Scored, said: io.StringIO, eager_scorer: Scorer
) -> None:
    state = score(written(tmp_path, "ndjson"), tmp_path / "out.ndjson", scorer=Fussy(eager_scorer, lambda text: "500" in text))
    assert state
    assert (state.scored, state.rejected) == (7, 3)
    (failed,) = [one for one in lines_of(Paths(tmp_path / "out.ndjson").rejected) if one["line"] == 6]
    assert failed == {
        "line": 6,
        "reason": "The model failed on this text (RuntimeError).",
        "record": {"id": "a5", "text": TEXTS[5]},
    }
    assert TEXTS[5] not in said.getvalue()


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_a_model_that_fails_on_everything_stops_the_job_which_can_go_on(
    tmp_path: Path, score: Scored, eager_scorer: Scorer, kind: Format
) -> None:
    source, out, whole = written(tmp_path, kind), tmp_path / f"out.{kind}", tmp_path / f"whole.{kind}"
    score(source, whole, source_format=kind, batch=2)
    later = Fussy(eager_scorer, lambda text: text > "Ad 8")
    with pytest.raises(BulkError, match=r"fails on every text \(RuntimeError\)") as caught:
        score(source, out, source_format=kind, scorer=later, batch=2)
    assert TEXTS[8] not in str(caught.value)
    assert not out.exists()
    with pytest.raises(BulkError, match="continue it with --resume"):
        score(source, out, source_format=kind)
    state = score(source, out, source_format=kind, batch=2, resume=True)
    assert state
    assert (state.scored, state.rejected) == (8, 2)
    assert out.read_bytes() == whole.read_bytes()
    assert Paths(out).rejected.read_bytes() == Paths(whole).rejected.read_bytes()


def test_a_stopped_job_is_not_continued_with_another_input_or_other_options(
    tmp_path: Path, score: Scored, eager_scorer: Scorer
) -> None:
    source, out = written(tmp_path, "ndjson"), tmp_path / "out.ndjson"
    with pytest.raises(BulkError, match="fails on every text"):
        score(source, out, scorer=Fussy(eager_scorer, lambda text: text > "Ad 5"))
    with pytest.raises(BulkError, match="this differs: labels, evidence"):
        score(source, out, resume=True, labels=None, evidence=False)
    source.write_text(source.read_text() + '{"text": "one more"}\n')
    with pytest.raises(BulkError, match="this differs: input sha256"):
        score(source, out, resume=True)


@pytest.mark.parametrize(
    ("source", "out", "job", "says"),
    [
        ("none.ndjson", "out.ndjson", {}, "There is no file"),
        ("in.ndjson", "out.txt", {}, "does not say its format"),
        ("in.ndjson", "none/out.csv", {}, "There is no folder"),
        (
            "in.ndjson",
            "out.csv",
            {"labels": ("debts",)},
            "'debts' is not an indicator of this model. Did you mean 'debt_or_fees'",
        ),
        ("in.csv", "out.csv", {"source_format": "csv", "columns": Columns("body")}, "no column 'body'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path: Path, score: Scored, source: str, out: str, job: dict[str, Any], says: str
) -> None:
    written(tmp_path, "ndjson")
    written(tmp_path, "csv")
    with pytest.raises(BulkError, match=says):
        score(tmp_path / source, tmp_path / out, **job)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "in.ndjson"]


def test_a_job_killed_in_mid_file_goes_on_and_gives_exactly_what_an_unbroken_one_gives(
    tmp_path: Path, bundle_folder: Path, score: Scored, scorer: Scorer
) -> None:
    # Short texts first and long ones last: whoever sees the first batch done has time to kill.
    rows = [json.dumps({"id": f"a{i}", "text": f"{TEXTS[i % 10]} " * (1 + i % 7 if i < 45 else 60)}) for i in range(60)]
    rows[7], rows[30], rows[58] = "{oops", '{"id": "no text"}', '{"text": " "}'
    source = tmp_path / "in.ndjson"
    source.write_text("\n".join(rows), encoding="utf-8")
    whole, out = tmp_path / "whole.ndjson", tmp_path / "out.ndjson"
    score(source, whole, scorer=scorer, batch=3, labels=None)

    command = [sys.executable, "-c", "from serving.cli import main; main()", "score", str(source), "--output", str(out)]
    environment = os.environ | {"SIGNAAL_BUNDLE": str(bundle_folder), "SIGNAAL_SERVE_BULK_BATCH": "3"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    state = Paths(out).state
    try:
        while not state.exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert not out.exists()
    assert 0 < State.model_validate_json(state.read_bytes()).line < 60, "it was not killed in mid-file"
    with Paths(out).partial.open("ab") as file:
        file.write(b'{"id": "half a li')  # as if the kill had come within a write

    resumed = subprocess.run([*command, "--resume"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert resumed.returncode == 3, resumed.stderr
    assert "57 scored" in resumed.stderr
    assert out.read_bytes() == whole.read_bytes()
    assert Paths(out).rejected.read_bytes() == Paths(whole).rejected.read_bytes()
    assert [one["line"] for one in lines_of(Paths(out).rejected)] == [8, 31, 59]
    assert len(list(tmp_path.iterdir())) == 5
