"""A worker by itself, with a real scorer and without an engine around it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from models.runtime import Scorer
from models.settings import ModelSettings
from serving.bulk import part_scorer
from serving.bulk.job import Job, score_file
from serving.bulk.journal import Paths
from serving.bulk.part_scorer import MOST_TRIES, PartScorer, PartsTask, told
from serving.bulk.parts import Part, find_parts
from serving.errors import BulkError
from serving.file_lock import try_lock
from serving.records import Columns
from serving.settings import ServingSettings
from tests.serving.conftest import Fussy

TEXTS = [f"Ad {i}: je paspoort blijft op kantoor en de bus kost {i}00 euro." for i in range(6)]


@pytest.fixture
def part(tmp_path: Path) -> Part:
    source = tmp_path / "ads" / "a.ndjson"
    source.parent.mkdir()
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS) + "{oops\n")
    for folder in ("out", "running"):
        (tmp_path / folder).mkdir()
    (found,) = find_parts(str(source), tmp_path / "out", "ndjson", None).parts
    return found


@pytest.fixture
def task(tmp_path: Path, bundle_folder: Path, scorer: Scorer) -> PartsTask:
    return PartsTask(
        place=str(bundle_folder),
        bundle_digest=scorer.identity.bundle_digest,
        model_settings={},
        settings={"bulk_batch": 2},
        source_format=None,
        columns=Columns(),
        labels=("debt_or_fees",),
        evidence=True,
        running=tmp_path / "running",
        run="a1",
    )


@pytest.fixture
def worker(task: PartsTask, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> PartScorer:
    """With the scorer of the session, for the sake of time."""
    monkeypatch.setattr(PartScorer, "_open", lambda self: scorer)
    return PartScorer(task)


def test_a_part_comes_out_as_from_score(worker: PartScorer, part: Part, scorer: Scorer, tmp_path: Path) -> None:
    result = worker(7, part)
    assert (result.index, result.scored, result.rejected, result.failure) == (7, 6, 1, None)
    whole = tmp_path / "whole.ndjson"
    job = Job(part.source, whole, "ndjson", Columns(), labels=("debt_or_fees",))
    score_file(job, lambda: scorer, ServingSettings(bulk_batch=2), Console(quiet=True))
    assert part.out.read_bytes() == whole.read_bytes()
    assert Paths(part.out).rejected.read_bytes() == Paths(whole).rejected.read_bytes()
    assert not list((tmp_path / "running").iterdir())


def test_a_part_that_is_done_is_not_done_again(worker: PartScorer, part: Part) -> None:
    worker(0, part)
    before = part.out.stat()
    assert worker(0, part).scored == 0
    assert part.out.stat().st_mtime_ns == before.st_mtime_ns


def test_no_text_leaves_a_worker(
    worker: PartScorer, part: Part, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    worker._scorer = Fussy(scorer, lambda text: True)
    failed = worker(0, part)
    assert failed.failure == "The model fails on every text (RuntimeError); nothing of this batch was written."

    def breaks(*_: object) -> None:
        raise KeyError(TEXTS[0])

    monkeypatch.setattr(part_scorer, "score_file", breaks)
    broken = worker(0, part)
    assert broken.failure
    assert broken.failure.startswith("Unforeseen KeyError in test_part_scorer.py, line ")
    assert not broken.fatal
    assert "paspoort" not in failed.model_dump_json() + broken.model_dump_json() + "".join(capfd.readouterr())


def test_errors_of_the_disk_name_the_file_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "gone").open()
    assert told(caught.value) == f"{tmp_path / 'gone'}: No such file or directory."
    with pytest.raises(OSError, match="the text") as unclear:
        raise OSError("the text")
    assert "text" not in told(unclear.value)


def test_a_part_that_loses_every_worker_is_given_up_until_the_next_run(worker: PartScorer, task: PartsTask, part: Part) -> None:
    (task.running / part.lock_name).write_text(f"{task.run}\n" * MOST_TRIES)
    failure = worker(0, part).failure
    assert failure
    assert "begun 3 times" in failure
    worker._task = replace(task, run="a2")
    assert worker(0, part).scored == 6


def test_a_part_that_another_worker_holds_is_waited_for_and_then_reported(
    worker: PartScorer, task: PartsTask, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_scorer, "LOCK_SECONDS", 0.1)
    with (task.running / part.lock_name).open("ab") as other:
        try_lock(other)
        failure = worker(0, part).failure
    assert failure
    assert "by another worker still" in failure
    assert worker(0, part).scored == 6


def test_another_model_on_the_workers_machine_is_fatal(task: PartsTask, part: Part) -> None:
    result = PartScorer(replace(task, bundle_digest="f" * 64))(0, part)
    assert result.fatal
    assert result.failure
    assert "is another model on a worker's machine" in result.failure
    assert not part.out.exists()


def test_a_model_that_is_not_there_is_fatal(task: PartsTask, part: Part) -> None:
    result = PartScorer(replace(task, place="/nowhere"))(0, part)
    assert result.fatal
    assert result.failure
    assert "/nowhere" in result.failure


def test_what_was_set_where_the_job_began_holds_for_the_worker(
    task: PartsTask, monkeypatch: pytest.MonkeyPatch, scorer: Scorer
) -> None:
    seen: list[ModelSettings] = []

    def opened(_: str, settings: ModelSettings) -> Scorer:
        seen.append(settings)
        return scorer

    monkeypatch.setattr(part_scorer, "open_at", opened)
    PartScorer(replace(task, model_settings={"threads": 3}))
    assert seen[0].threads == 3


def test_errors_of_ours_keep_their_words() -> None:
    assert told(BulkError("a.csv has no column 'body'.")) == "a.csv has no column 'body'."
