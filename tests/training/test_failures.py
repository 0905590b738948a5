"""What goes wrong ends with exit code 2 and says why: 1 means drift, or a refusal."""

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from mlflow.exceptions import MlflowException
from safetensors import SafetensorError
from safetensors.torch import load_file
from sqlalchemy.exc import OperationalError

from tests.training.drift.test_drift_command import scored_lines, write
from tests.training.test_run import call
from training.cli import foreseen

AD = "Plukkers gezocht."
SCRIPT = Path(sys.executable).parent / "signaal-train"


def lines_of_failure(*arguments: str, **environment: str) -> list[str]:
    """What the command itself, in a process of its own, says on stderr when it fails."""
    done = subprocess.run(
        [str(SCRIPT), *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return done.stderr.splitlines()


def test_a_missing_file_is_one_line_with_its_brackets() -> None:
    (line,) = lines_of_failure("drift", "/nowhere/[march].jsonl", "/nowhere/[bold]june.jsonl")
    assert line == "error: Cannot read /nowhere/[march].jsonl: No such file or directory."


def test_a_full_disk_is_one_line() -> None:
    (line,) = lines_of_failure("init", "/dev/full", "--force")
    assert line == "error: No space left on device."


WRITES = """
import resource, sys, torch
from safetensors.torch import save_file
from training.cli import foreseen
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
weights = {"weights": torch.zeros(1_000_000)}
for write, file in ((save_file, "a.safetensors"), (torch.save, "a.pt"), (torch.save, "full.pt")):
    try:
        write(weights, file)
    except Exception as error:
        print(foreseen(error))
"""


def test_a_disk_that_takes_no_more_weights_is_one_line_whoever_writes_them(tmp_path: Path) -> None:
    (tmp_path / "full.pt").symlink_to("/dev/full")
    here = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", WRITES], cwd=tmp_path, env=here, capture_output=True, text=True, check=True)
    of_torch = "A checkpoint cannot be written: the disk is full, or may not be written to (torch does not say which)."
    assert done.stdout.splitlines() == ["Weights cannot be written: File too large.", of_torch, of_torch]


def test_weights_that_cannot_be_read_are_no_full_disk(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"PK\3\4 no weights")
    for read in (load_file, torch.load):
        with pytest.raises((SafetensorError, RuntimeError)) as broken:
            read(tmp_path / "broken")
        assert foreseen(broken.value) is None


def test_ctrl_c_while_a_command_works_is_130_and_no_traceback() -> None:
    """It waits for an MLflow server that takes the call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mlflow_server:
        mlflow_server.settimeout(120)
        store = f"http://127.0.0.1:{mlflow_server.getsockname()[1]}"
        environment = {**os.environ, "SIGNAAL_MLFLOW_TRACKING_URI": store}
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # where the tests themselves run in a shell's background
        command = subprocess.Popen(
            [str(SCRIPT), "rollback"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed,  # noqa: PLW1509
        )
        try:
            connection, _ = mlflow_server.accept()
            with connection:
                command.send_signal(signal.SIGINT)
                _, said = command.communicate(timeout=60)
        finally:
            command.kill()
    assert command.returncode == 130
    assert "Traceback" not in said
    assert "error" not in said


def test_an_mlflow_that_cannot_be_reached_is_one_line() -> None:
    store = "http://127.0.0.1:9"
    (line,) = lines_of_failure("rollback", SIGNAAL_MLFLOW_TRACKING_URI=store, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert line.startswith(f"error: The MLflow store {store} ")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MlflowException("no such run"), "cannot be used: no such run"),
        (OperationalError("select", {}, Exception("disk is full")), "cannot be used: (builtins.Exception) disk is full"),
        (PermissionError(13, "Permission denied", "runs"), "runs: Permission denied."),
        (MemoryError(), "There is not enough memory."),
    ],
)
def test_what_libraries_raise_is_one_line_too(error: Exception, message: str) -> None:
    said = foreseen(error)
    assert said is not None
    assert said.endswith(message)
    assert "\n" not in said


def test_a_value_in_the_environment_that_cannot_be_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNAAL_THREADS", "many")
    assert call(monkeypatch, "models") == 2
    assert capsys.readouterr().err.startswith("error: SIGNAAL_THREADS: threads: it should be a valid integer")


@pytest.mark.parametrize("kind", [ZeroDivisionError, EOFError])
def test_an_unforeseen_error_is_2_too_and_shows_the_way_to_it_but_no_ad(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise kind(AD)

    monkeypatch.setattr("training.drift.comparisons.compare", fail)
    sample = write(tmp_path / "sample.jsonl", scored_lines(1))
    assert call(monkeypatch, "drift", sample, sample) == 2
    said = capsys.readouterr().err
    assert "was not foreseen" in said
    assert kind.__name__ in said
    assert "test_failures.py" in said
    assert AD not in said


def test_a_reader_that_has_gone_is_no_drift(tmp_path: Path) -> None:
    sample = write(tmp_path / "sample.jsonl", scored_lines(1))
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(SCRIPT), "drift", sample, sample, "--output", str(tmp_path / "report")]
    done = subprocess.run(command, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode not in (0, 1)


def test_help_says_what_the_exit_codes_mean(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--help") == 0
    assert "1 the answer is no (drift: there is drift; promote: refused)" in " ".join(capsys.readouterr().out.split())
