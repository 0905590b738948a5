"""A real SQLite file and a real PostgreSQL server, and a room with accounts and ads."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from labeling.accounts.passwords import hash_password
from labeling.accounts.registering import make_account
from labeling.accounts.roles import Role
from labeling.intake.importing import import_ads
from labeling.project import ProjectSettings
from labeling.store.database import Database
from labeling.work.rules import change_project
from tests.postgresql import new_database, postgresql_programs, postgresql_server

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
TEXT = "Pickers wanted for the season, ad {}. The bus costs 900 and comes off your wages."

_numbers = itertools.count(1)
_hash_once = cache(hash_password)


@pytest.fixture(scope="session")
def postgresql_socket() -> Iterator[str]:
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("LABELLING IS NOT TESTED ON POSTGRESQL: there is no initdb. Install it: apt-get install postgresql")
    with postgresql_server(programs) as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/labeling.db"
        return
    with new_database(request.getfixturevalue("postgresql_socket"), f"labeling_{next(_numbers)}") as url:
        yield url


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    opened = Database(address)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """For what is the same on either."""
    opened = Database(f"sqlite:///{tmp_path}/labeling.db")
    yield opened
    opened.close()


def add_account(database: Database, name: str, role: Role = Role.ANNOTATOR) -> str:
    """The id of a new account with the password PASSWORD."""
    with pytest.MonkeyPatch.context() as patch, database.write() as session:
        patch.setattr("labeling.accounts.registering.hash_password", _hash_once)  # it is slow by design
        return make_account(session, name, PASSWORD, role, NOW).id


def add_ads(database: Database, count: int, *, gold: bool = False, prefix: str = "ad") -> None:
    """Ads ``ad-0`` and so on; gold ones have the answer debt_or_fees."""
    answer = {"labels": ["debt_or_fees"]} if gold else {}
    rows = ((n + 1, {"id": f"{prefix}-{n}", "text": TEXT.format(n), "language": "en", **answer}) for n in range(count))
    report = import_ads(database, rows, "test.jsonl", NOW, gold=gold)
    assert report.imported == count


def set_project(database: Database, **settings: object) -> None:
    with database.write() as session:
        change_project(session, None, ProjectSettings(**{"gold_share": 0.0, **settings}), NOW)
