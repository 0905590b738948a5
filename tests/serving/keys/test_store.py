"""Keys and quotas in real databases, from several threads and processes."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from serving.errors import KeyStoreError, UnknownKeyError
from serving.keys.secret import new_key_id, new_token
from serving.keys.store import Key, KeyStore, Scope, accepts
from tests.serving.keys.conftest import shown

ROOT = Path(__file__).parents[3]
TODAY = date(2026, 11, 28)


def is_good(store: KeyStore, token: str, now: datetime | None = None) -> bool:
    return accepts(store.find(shown(token).key_id), shown(token), now or datetime.now(UTC))


def test_a_key_is_found_as_it_was_made(store: KeyStore) -> None:
    expires = datetime(2030, 1, 31, tzinfo=UTC)
    made, token = store.create("desk", {Scope.SCORE, Scope.FEEDBACK}, expires=expires, ads_per_minute=60, ads_per_day=900)
    found = store.find(made.id)
    assert found == made
    assert found is not None
    assert (found.name, found.scopes, found.expires) == ("desk", {"score", "feedback"}, expires)
    assert (found.ads_per_minute, found.ads_per_day, found.last_used) == (60, 900, None)
    assert datetime.now(UTC) - found.created < timedelta(minutes=1)
    assert is_good(store, token)
    assert store.find(new_key_id()) is None


def test_another_secret_for_the_id_is_not_good(store: KeyStore) -> None:
    made, _ = store.create("desk", {Scope.SCORE})
    assert not is_good(store, new_token(made.id))


def test_a_key_ends_when_it_expires(store: KeyStore) -> None:
    expires = datetime(2030, 1, 31, tzinfo=UTC)
    _, token = store.create("desk", {Scope.SCORE}, expires=expires)
    assert is_good(store, token, expires - timedelta(seconds=1))
    assert not is_good(store, token, expires)


def test_a_revoked_key_ends_with_both_its_secrets_and_stays_in_the_list(store: KeyStore) -> None:
    made, old = store.create("desk", {Scope.SCORE})
    _, new = store.rotate(made.id, timedelta(hours=1))
    revoked = store.revoke(made.id)
    assert store.revoke(made.id) == revoked, "the first time counts"
    assert not is_good(store, old)
    assert not is_good(store, new)
    assert store.all() == [revoked]


def test_after_a_rotation_the_old_secret_is_good_for_the_grace_period(store: KeyStore) -> None:
    made, old = store.create("desk", {Scope.SCORE})
    rotated, new = store.rotate(made.id, timedelta(hours=24))
    now = datetime.now(UTC)
    assert is_good(store, new)
    assert is_good(store, old, now + timedelta(hours=23, minutes=59))
    assert not is_good(store, old, now + timedelta(hours=24, minutes=1))
    assert (rotated.id, rotated.name, rotated.scopes) == (made.id, made.name, made.scopes)
    _, newest = store.rotate(made.id, timedelta(0))
    assert is_good(store, newest)
    assert not is_good(store, new), "no grace"
    assert not is_good(store, old), "one before the last is never good"


def test_a_key_that_is_not_there_or_at_its_end_is_neither_rotated_nor_revoked(store: KeyStore) -> None:
    with pytest.raises(UnknownKeyError, match="no key 0123456789ab"):
        store.revoke("0123456789ab")
    with pytest.raises(UnknownKeyError, match="no key"):
        store.rotate("0123456789ab", timedelta(hours=1))
    expired, _ = store.create("old", {Scope.SCORE}, expires=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UnknownKeyError, match="is expired"):
        store.rotate(expired.id, timedelta(hours=1))


def test_the_day_of_use_is_kept_and_quotas_of_past_days_are_forgotten(store: KeyStore) -> None:
    made, _ = store.create("desk", {Scope.SCORE})
    for days in (2, 1, 0):
        store.take(made.id, TODAY - timedelta(days=days), 5, 10)
    store.mark_used(made.id, TODAY)
    found = store.find(made.id)
    assert found is not None
    assert found.last_used == TODAY
    assert [store.used(made.id, TODAY - timedelta(days=days)) for days in (2, 1, 0)] == [0, 5, 5]


def test_a_quota_is_used_whole_or_not_at_all(store: KeyStore) -> None:
    made, _ = store.create("desk", {Scope.SCORE})
    assert store.take(made.id, TODAY, 64, 100) == (True, 64)
    assert store.take(made.id, TODAY, 37, 100) == (False, 64)
    assert store.take(made.id, TODAY, 36, 100) == (True, 100)
    assert store.take(made.id, TODAY, 1, 100) == (False, 100)
    store.give_back(made.id, TODAY, 36)
    assert store.used(made.id, TODAY) == 64
    assert store.take(made.id, TODAY + timedelta(days=1), 100, 100) == (True, 100), "a new day"
    assert store.take(made.id, TODAY + timedelta(days=2), 101, 100) == (False, 0), "the first, and too much"


def test_a_quota_holds_over_a_restart(database: str) -> None:
    store = KeyStore(database)
    made, token = store.create("desk", {Scope.SCORE})
    store.take(made.id, TODAY, 90, 100)
    store.close()
    again = KeyStore(database)
    assert again.used(made.id, TODAY) == 90
    assert is_good(again, token)
    again.close()


GREEDY = """
import sys
from datetime import date
from serving.keys.store import KeyStore
store = KeyStore(sys.argv[1])
print(sum(store.take(sys.argv[2], date(2026, 11, 28), 1, 150).ok for _ in range(100)))
"""


def test_processes_share_a_quota_to_the_last_ad(store: KeyStore, database: str) -> None:
    made, _ = store.create("desk", {Scope.SCORE})
    command = [sys.executable, "-c", GREEDY, database, made.id]
    greedy = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    got = [int(process.communicate(timeout=120)[0]) for process in greedy]
    assert sum(got) == 150
    assert store.used(made.id, TODAY) == 150


def test_threads_share_a_quota_to_the_last_ad(store: KeyStore) -> None:
    made, _ = store.create("desk", {Scope.SCORE})
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take(made.id, TODAY, 3, 50).ok, range(40)))
    assert sum(taken) == 16
    assert store.used(made.id, TODAY) == 48


OPENING = "import sys; from serving.keys.store import KeyStore; KeyStore(sys.argv[1]).create('desk', ['score'])"


def test_servers_that_start_at_once_make_the_tables_once(database: str) -> None:
    command = [sys.executable, "-c", OPENING, database]
    starting = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=120)[1] for process in starting]
    assert [process.returncode for process in starting] == [0] * 4, said
    store = KeyStore(database)
    assert len(store.all()) == 4
    store.close()


def test_the_secret_is_nowhere_in_the_database(database: str, tmp_path: Path) -> None:
    store = KeyStore(database)
    made, token = store.create("desk", {Scope.SCORE})
    _, rotated = store.rotate(made.id, timedelta(hours=1))
    secrets = [one.rsplit("_", 1)[1] for one in (token, rotated)]
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = "".join(str(row) for row in connection.execute(text("SELECT * FROM api_keys")))
    engine.dispose()
    assert made.id in rows
    kept = rows.encode() + b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert not any(secret.encode() in kept for secret in secrets)
    store.close()


def test_a_database_of_another_version_is_refused(database: str) -> None:
    KeyStore(database).close()
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE api_keys_schema SET version = 2"))
    engine.dispose()
    with pytest.raises(KeyStoreError, match=r"version 2 of its tables.* knows 1"):
        KeyStore(database)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_only_the_owner_may_read_a_sqlite_file(tmp_path: Path, mask: int) -> None:
    ready = tmp_path / "was-there.db"
    ready.touch(0o644)
    before = os.umask(mask)
    try:
        for file in (tmp_path / "new.db", ready):
            store = KeyStore(f"sqlite:///{file}")
            store.create("desk", {Scope.SCORE})
            beside = sorted(tmp_path.glob(f"{file.name}*"))
            assert len(beside) == 3, "the log and its index, too"
            assert {stat.S_IMODE(one.stat().st_mode) for one in beside} == {0o600}
            store.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("nonsense", "is not the address of a database"),
        ("mysql://root:geheim@localhost/x", "begins with mysql"),
        ("sqlite://", "names no file"),
        ("sqlite:////nowhere/at/all/keys.db", r"/nowhere/at/all/keys\.db cannot be opened"),
        ("postgresql://desk:geheim@127.0.0.1:1/keys", r"postgresql\+psycopg://desk:\*\*\*@127\.0\.0\.1:1/keys\) cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_without_its_password(address: str, says: str) -> None:
    with pytest.raises(KeyStoreError, match=says) as error:
        KeyStore(address)
    assert "geheim" not in str(error.value)


def test_what_fails_later_is_told_too(sqlite_store: KeyStore, tmp_path: Path) -> None:
    sqlite_store.close()  # the connections; others are made when they are needed
    (tmp_path / "keys.db").write_bytes(b"rubbish" * 1000)
    calls: list[Callable[[], object]] = [sqlite_store.all, lambda: sqlite_store.mark_used("0123456789ab", TODAY)]
    for call in calls:
        with pytest.raises(KeyStoreError, match="cannot be used: file is not a database"):
            call()


def test_a_reader_does_not_wait_for_a_writer(sqlite_store: KeyStore) -> None:
    made, _ = sqlite_store.create("desk", {Scope.SCORE})
    found: list[Key | None] = []
    with sqlite_store._writing() as connection:
        connection.execute(text("UPDATE api_keys SET name = 'other'"))
        reader = threading.Thread(target=lambda: found.append(sqlite_store.find(made.id)))
        reader.start()
        reader.join(5)
    assert found == [made]
