"""Nobody comes into a run or a search that another process is at; real processes, which are killed."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from models.settings import ModelSettings
from tests.training.small_data import write_small_data
from tests.waiting import until
from training.checkpoints import PASSING, RunFolder, interrupted
from training.errors import TrainingError
from training.lock import LOCK, alone_in
from training.run import run
from training.search import search
from training.seeds import run_seeds
from training.settings import TrainingSettings

RUN = "abcdefgh"
HOLDS = """
import os, sys, time
from pathlib import Path
from training.lock import alone_in
with alone_in(Path(sys.argv[1]), "It"):
    if "fork" in sys.argv and (child := os.fork()):
        print(child, flush=True)
    else:
        Path(sys.argv[2]).touch()
    time.sleep(600)
"""


@contextmanager
def held(folder: Path, there: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Another process is at work in a folder, and is killed at the end."""
    command = [sys.executable, "-c", HOLDS, str(folder), str(there), *more]
    here = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(command, env=here, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(there.exists, 120, "the other process")
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("locked") / "data.jsonl", texts=8, held_out=8)


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> TrainingSettings:
    return TrainingSettings(data=data, output=tmp_path / "runs", layers=1)  # type: ignore[arg-type]


def test_a_folder_is_for_one_process_and_free_again_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with held(folder, tmp_path / "there") as process:
        said = rf"^It is under way in another process \({process.pid} on .+\)\. Wait"
        with pytest.raises(TrainingError, match=said), alone_in(folder, "It"):
            pass
        process.kill()
        assert process.wait() == -signal.SIGKILL
        with alone_in(folder, "It"):
            assert (folder / LOCK).read_text().startswith(f"{os.getpid()} on ")
    with alone_in(folder, "It"):
        pass


def test_a_forked_child_that_outlives_a_killed_process_does_not_keep_the_folder(tmp_path: Path) -> None:
    with held(tmp_path, tmp_path / "there", "fork") as process:
        assert process.stdout
        child = int(process.stdout.readline())
        with pytest.raises(TrainingError, match="under way"), alone_in(tmp_path, "It"):
            pass
        process.kill()
        process.wait()
        try:
            with alone_in(tmp_path, "It"):
                os.kill(child, 0)  # it lives
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_file_system_without_locks_is_no_reason_not_to_train(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with alone_in(tmp_path, "It"):
        pass
    assert caplog.messages == [f"{tmp_path} cannot be locked (No locks available): see that no other process works in it."]


def test_a_run_that_lives_elsewhere_does_not_go_on_here(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    kept = RunFolder(settings.output, RUN)
    kept.begin(settings, RUN, "digest", store)
    half_made = settings.output / f"bundle-{RUN}"
    half_made.mkdir()
    again, run_id = interrupted(RUN, settings.output)
    several = again.model_copy(update={"seeds": (1, 2)})
    with held(kept.path, tmp_path / "there") as process:
        for go_on, how in ((run, again), (run_seeds, several)):
            with pytest.raises(TrainingError, match=rf"^Run {RUN} is under way in another process \({process.pid} on"):
                go_on(how, store, resume=run_id)  # type: ignore[operator]
    assert half_made.is_dir()
    assert not (tmp_path / "mlflow.db").exists(), "MLflow is not told, where the run goes on well"


def test_a_run_that_another_process_has_just_finished_does_not_go_on(settings: TrainingSettings) -> None:
    kept = RunFolder(settings.output, RUN)
    kept.begin(settings, RUN, "digest", ModelSettings())
    with kept.alone():
        kept.remove()
    assert not kept.path.exists()
    with pytest.raises(TrainingError, match=f"Run {RUN} was finished by another process"), kept.alone():
        pass


def test_a_search_that_lives_elsewhere_keeps_its_checkpoints_and_its_trial(
    settings: TrainingSettings, model_settings: ModelSettings, tmp_path: Path
) -> None:
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    checkpoints = settings.output / "search-mine" / f"{PASSING}of-its-trial"
    checkpoints.mkdir(parents=True)
    said = "^The search 'mine' is under way in another process"
    with held(checkpoints.parent, tmp_path / "there"), pytest.raises(TrainingError, match=said):
        search(settings, store, name="mine")
    assert checkpoints.is_dir()
    assert not (checkpoints.parent / "study.db").exists()


def test_a_run_is_locked_from_its_beginning_to_its_end(
    settings: TrainingSettings, model_settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is stopped where it would train: a whole run takes minutes, and what comes after is within the same lock."""
    store = model_settings.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []

    def tries_too(_: Path, run_id: str, *others: object) -> None:
        with pytest.raises(TrainingError, match="under way"), RunFolder(settings.output, run_id).alone():
            pass
        seen.append(run_id)
        raise KeyboardInterrupt

    monkeypatch.setattr("training.run.fit", tries_too)
    with pytest.raises(KeyboardInterrupt):
        run(settings, store)
    with pytest.raises(KeyboardInterrupt):
        run(settings, store, resume=seen[0])
    assert seen[1:] == seen[:1]
    assert MlflowClient(store.mlflow_tracking_uri).get_run(seen[0]).info.status in ("FAILED", "KILLED")
    with RunFolder(settings.output, seen[0]).alone():
        pass
