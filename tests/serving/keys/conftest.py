"""A real SQLite file and a real PostgreSQL server of the tests' own, and applications that demand keys."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.runtime import Scorer
from serving.keys.secret import Presented, read_token
from serving.keys.store import KeyStore

OpenClient = Callable[..., TestClient]


def _postgres_folder() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Socket folder of a throw-away PostgreSQL server, which listens on nothing else."""
    programs = _postgres_folder()
    if programs is None:
        pytest.skip("KEYS ARE NOT TESTED ON POSTGRESQL: there is no initdb. Install it: apt-get install postgresql")
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
def new_database(postgres: str, name: str) -> Iterator[str]:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(host=postgres, user="signaal", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://signaal@/{name}?host={postgres}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
        return
    with new_database(request.getfixturevalue("postgres"), f"test_{os.getpid()}_{tmp_path.name[-8:]}".replace("-", "_")) as url:
        yield url


@pytest.fixture
def store(database: str) -> Iterator[KeyStore]:
    opened = KeyStore(database)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[KeyStore]:
    """For what is the same on every database."""
    opened = KeyStore(f"sqlite:///{tmp_path}/keys.db")
    yield opened
    opened.close()


@pytest.fixture
def keyed(open_client: OpenClient, eager_scorer: Scorer, tmp_path: Path) -> Callable[..., TestClient]:
    """Opens an application that demands the keys of ``sqlite_store``."""

    def start(**settings: Any) -> TestClient:
        return open_client(lambda: eager_scorer, auth="keys", database_url=f"sqlite:///{tmp_path}/keys.db", **settings)

    return start


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def shown(token: str) -> Presented:
    read = read_token(token)
    assert read is not None
    return read
