"""A run in a process of its own that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def killed_when(reached: Callable[[Path], Path | None], config: Path, folder: Path, environment: dict[str, str]) -> Path:
    """Start ``signaal-train run CONFIG`` in a folder and kill it (SIGKILL) as soon as a file is there; returns the file."""
    command = [sys.executable, "-c", "from training.cli import main; main()", "run", str(config)]
    here = {**os.environ, **environment, "PYTHONPATH": str(Path.cwd())}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=here, cwd=folder, stderr=log)
    deadline = time.monotonic() + 1200
    while (found := reached(folder)) is None:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "nothing in twenty minutes"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return found
