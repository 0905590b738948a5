import json
from pathlib import Path

import pytest

from serving.bulk.journal import JobKey, Journal, Paths, State, finish, read_state
from serving.bulk.records import Place
from serving.errors import BulkError

KEY = JobKey(
    input_sha256="ab",
    input_format="csv",
    columns="",
    labels=["debt_or_fees"],
    evidence=True,
    max_characters=9,
    bundle_digest="cd",
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "out.ndjson")


def test_what_was_committed_is_there_again_and_what_was_not_is_cut_off(paths: Paths) -> None:
    with Journal(paths, State(key=KEY)) as journal:
        journal.add("one")
        journal.reject(2, "bad", {"raw": "x"})
        journal.commit(Place(10, 2), 0.5)
        journal.add("two")
        journal.reject(4, "worse", {})
    assert paths.partial.read_text() == "one\ntwo\n"
    state = read_state(paths.state, KEY)
    assert (state.done, state.line, state.scored, state.rejected) == (10, 2, 1, 1)
    with Journal(paths, state) as journal:
        assert journal.place == Place(10, 2)
        journal.add("three")
        journal.commit(Place(20, 3), 0.5)
        journal.complete()
    finish(paths, journal.state, None)
    assert paths.out.read_text() == "one\nthree\n"
    assert json.loads(paths.rejected.read_text()) == {"line": 2, "reason": "bad", "raw": "x"}
    assert sorted(path.name for path in paths.out.parent.iterdir()) == ["out.ndjson", "out.ndjson.rejected.ndjson"]


def test_lengths_are_those_of_the_files_even_when_a_batch_after_a_kill_writes_nothing(paths: Paths) -> None:
    paths.partial.write_text("torn by a kill")
    paths.rejected_partial.write_text("torn too")
    with Journal(paths, State(key=KEY)) as journal:
        journal.commit(Place(10, 2), 0.5)
    state = read_state(paths.state, KEY)
    assert (state.output_bytes, state.rejected_bytes) == (0, 0)
    with Journal(paths, state) as journal:
        journal.add("one")
        journal.commit(Place(20, 3), 0.5)
    assert paths.partial.read_text() == "one\n"
    assert read_state(paths.state, KEY).output_bytes == 4


def test_only_one_process_writes(paths: Paths) -> None:
    with Journal(paths, State(key=KEY)), pytest.raises(BulkError, match="Another process is writing"):
        Journal(paths, State(key=KEY))
    Journal(paths, State(key=KEY)).__exit__()


def test_a_partial_file_that_lost_data_is_refused(paths: Paths) -> None:
    paths.partial.write_text("one\n")
    with pytest.raises(BulkError, match="lost data"):
        Journal(paths, State(key=KEY, output_bytes=100))


def test_another_job_is_not_continued_and_what_differs_is_named(paths: Paths) -> None:
    with Journal(paths, State(key=KEY)) as journal:
        journal.commit(Place(10, 2), 0.5)
    with pytest.raises(BulkError, match="this differs: input sha256, evidence"):
        read_state(paths.state, KEY.model_copy(update={"input_sha256": "other", "evidence": False}))
    paths.state.write_text("{}")
    with pytest.raises(BulkError, match="is not a job's state"):
        read_state(paths.state, KEY)


def test_finishing_may_be_stopped_anywhere_and_done_again(paths: Paths) -> None:
    def convert(source: Path, out: Path) -> None:
        out.write_text(source.read_text().upper())

    for stopped_after in range(3):
        with Journal(paths, State(key=KEY)) as journal:
            journal.add("one")
            journal.reject(2, "bad", {})
            journal.commit(Place(10, 2), 0.5)
            journal.complete()
        state = read_state(paths.state, KEY)
        assert state.complete
        if stopped_after >= 1:
            paths.rejected_partial.replace(paths.rejected)
        if stopped_after >= 2:
            paths.out.write_text("ONE\n")
        finish(paths, state, convert)
        assert paths.out.read_text() == "ONE\n"
        assert paths.rejected.exists()
        assert len(list(paths.out.parent.iterdir())) == 2
        paths.out.unlink()
        paths.rejected.unlink()


def test_nothing_that_is_there_is_overwritten(paths: Paths) -> None:
    paths.out.write_text("precious")
    with pytest.raises(BulkError, match="is there already"):
        paths.already_done(resume=False)
    assert paths.already_done(resume=True)
    paths.out.unlink()
    paths.rejected.write_text("precious")
    with pytest.raises(BulkError, match="is there already"):
        paths.already_done(resume=False)
    paths.state.write_text("{}")
    with pytest.raises(BulkError, match="continue it with --resume"):
        paths.already_done(resume=False)
    assert not paths.already_done(resume=True)
    with pytest.raises(BulkError, match="no folder"):
        Paths(paths.out.parent / "none" / "out.csv").already_done(resume=False)
