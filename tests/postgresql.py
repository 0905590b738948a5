"""A throw-away PostgreSQL server of the tests' own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Socket folder of a server that listens on nothing else; user ``signaal``, no password. Skips where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("NOT TESTED ON POSTGRESQL: there is no initdb. Install it: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=300)

    # Not pytest's folder: a socket's path may have 107 characters, and the other user must be able to enter.
    with tempfile.TemporaryDirectory(prefix="signaal-pg-", dir="/tmp") as folder:
        if user:
            shutil.chown(folder, user)
        data, options = Path(folder, "data"), f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run(programs / "initdb", "-D", data, "-U", "signaal", "-A", "trust", "-E", "UTF8", "--no-sync")
        run(programs / "pg_ctl", "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield folder
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
