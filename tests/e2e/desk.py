"""A folder in which someone works, one command after the other, each in a process of its own."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Desk:
    """A folder in which a data scientist works."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SIGNAAL_MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }

    def do(self, line: str, code: int = 0, typed: str = "") -> str:
        """A command; what it printed, on one line. Its time on the wall and on the processor is told (``pytest -s``)."""
        began, used = time.perf_counter(), _children_seconds()
        done = subprocess.run(
            _command(line),
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            check=False,
            text=True,
        )
        print(f"{time.perf_counter() - began:7.1f} s, processor {_children_seconds() - used:6.1f} s: {line}", flush=True)
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        return " ".join((done.stdout + done.stderr).split())

    @contextmanager
    def running(self, line: str) -> Iterator[str]:
        """A command that does not end by itself; the first line that it prints."""
        with subprocess.Popen(
            _command(line), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout
                yield process.stdout.readline().strip()
            finally:
                process.terminate()


def _command(line: str) -> list[str]:
    program, *rest = line.split()
    room = {"signaal-train": "training", "signaal-label": "labeling"}[program]
    return [sys.executable, "-c", f"from {room}.cli import main; main()", *rest]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]
