import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from labeling.errors import StoreError
from labeling.store.backup import back_up, restore
from labeling.store.database import Database
from labeling.store.tables import Ad
from labeling.work import audit
from tests.labeling.conftest import NOW, add_ads


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/labeling.db"


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Ad)) or 0


def test_a_backup_made_while_others_write_is_whole_and_comes_back(address: str, tmp_path: Path) -> None:
    database = Database(address)
    add_ads(database, 200)
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            with database.write() as session:
                audit.record(session, NOW, None, audit.Action.SCORED)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    copy = tmp_path / "copy.db"
    try:
        assert back_up(address, copy) == copy.stat().st_size
    finally:
        stop.set()
        writer.join()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]

    add_ads(database, 5, prefix="later")
    restore(address, copy, replace=True)
    assert count(database) == 200  # a server that went on running sees it
    add_ads(database, 1, prefix="new")
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    database.close()


def test_a_copy_comes_back_where_there_is_nothing(address: str, tmp_path: Path) -> None:
    database = Database(address)
    add_ads(database, 3)
    back_up(address, tmp_path / "copy.db")
    database.close()
    other = f"sqlite:///{tmp_path}/new/labeling.db"
    restore(other, tmp_path / "copy.db", replace=False)
    restored = Database(other)
    assert count(restored) == 3
    restored.close()


def test_nothing_is_overwritten_unasked(address: str, tmp_path: Path) -> None:
    Database(address).close()
    back_up(address, tmp_path / "copy.db")
    with pytest.raises(StoreError, match="there already"):
        back_up(address, tmp_path / "copy.db")
    with pytest.raises(StoreError, match="--replace"):
        restore(address, tmp_path / "copy.db", replace=False)


def test_what_is_no_backup_is_refused_and_changes_nothing(address: str, tmp_path: Path) -> None:
    database = Database(address)
    add_ads(database, 3)
    (tmp_path / "words.db").write_text("no database at all")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE ad (id)")
    back_up(address, tmp_path / "damaged.db")
    content = bytearray((tmp_path / "damaged.db").read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\x55" * 8192
    (tmp_path / "damaged.db").write_bytes(content)
    for name in ("words.db", "other.db", "damaged.db", "none.db"):
        with pytest.raises(StoreError, match=name):
            restore(address, tmp_path / name, replace=True)
    assert count(database) == 3
    database.close()


def test_postgresql_has_its_own_tools(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        back_up("postgresql://127.0.0.1/x", tmp_path / "copy.db")
    with pytest.raises(StoreError, match="There is no database"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy.db")
