"""A real PostgreSQL server of the tests' own, which listens on nothing but a socket."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


def postgresql_programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@contextmanager
def postgresql_server(programs: Path) -> Iterator[str]:
    """Folder of the socket of a throw-away server."""
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, timeout=120)

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


@contextmanager
def new_database(socket_folder: str, name: str) -> Iterator[str]:
    """Address of an empty database that is dropped at the end."""
    with psycopg.connect(host=socket_folder, user="signaal", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://signaal@/{name}?host={socket_folder}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
