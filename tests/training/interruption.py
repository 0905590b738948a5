"""A run in a process of its own that is killed in the middle."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.waiting import until


def killed_when(reached: Callable[[Path], Path | None], config: Path, folder: Path, environment: dict[str, str]) -> Path:
    """Start ``signaal-train run CONFIG`` in a folder and kill it (SIGKILL) as soon as a file is there; returns the file."""
    command = [sys.executable, "-c", "from training.cli import main; main()", "run", str(config)]
    here = {**os.environ, **environment, "PYTHONPATH": str(Path.cwd())}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=here, cwd=folder, stderr=log)
    found: list[Path] = []

    def there() -> list[Path]:
        assert process.poll() is None, (folder / "log").read_text()
        if file := reached(folder):
            found.append(file)
        return found

    try:
        until(there, 1200, "the file at which the run is killed")
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    return found[0]
