"""Copies of a SQLite database while people work, and back. PostgreSQL has pg_dump and pg_restore; docs/labeling.md has the
commands."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from labeling.errors import StoreError
from labeling.store.database import Database, parsed, private_file
from labeling.store.migrating import VERSION_TABLE

_PAGES = 2000
"""Copied at a time; writers get their turn between."""


def back_up(address: str, copy: Path) -> int:
    """Write a whole and consistent copy, readable by its owner only; its size in bytes.

    Raises:
        StoreError: the database is not of SQLite or not there, or the copy's name is taken.
    """
    source = _file(address)
    if not source.exists():
        raise StoreError(f"There is no database {source}; SIGNAAL_LABEL_DATABASE_URL names it.")
    if copy.exists():
        raise StoreError(f"{copy} is there already; delete it or choose another name.")
    partial = copy.with_name(copy.name + ".partial")
    partial.unlink(missing_ok=True)
    private_file(partial)
    _copy(source, partial)
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file that needs no other beside it
    _check(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(copy)
    return copy.stat().st_size


def restore(address: str, copy: Path, *, replace: bool) -> None:
    """Put a copy back. It is one transaction: a server that runs meanwhile sees the old data or the new. A copy that an
    earlier version made is brought up to date.

    Args:
        replace: overwrite a database that is there.

    Raises:
        StoreError: the copy is none, or there is a database and it may not be replaced.
    """
    target = _file(address)
    _check(copy)
    if target.exists() and target.stat().st_size and not replace:
        raise StoreError(f"{target} is there already. Back it up, then restore with --replace.")
    private_file(target)
    _copy(copy, target)
    Database(address).close()


def last_audited(address: str) -> tuple[int, str] | None:
    """Number and moment (UTC, to the minute) of the latest entry of the audit that a restore would replace. None where there is
    no database, or none that can be read."""
    file = _file(address)
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            last = connection.execute("SELECT id, substr(at, 1, 16) FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        return None
    return last and (int(last[0]), str(last[1]))


def _file(address: str) -> Path:
    url = parsed(address)
    if url.get_backend_name() != "sqlite":
        raise StoreError("This is for SQLite. For PostgreSQL use pg_dump and pg_restore; docs/labeling.md has the commands.")
    return Path(url.database or "")


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target, timeout=30)) as written:
            read.backup(written, pages=_PAGES)
    except sqlite3.Error as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error}.") from error


def _check(copy: Path) -> None:
    """Refuse what is damaged or no labelling database."""
    try:
        with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            damage = connection.execute("PRAGMA integrity_check").fetchone()[0]
            is_ours = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [VERSION_TABLE]).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{copy} is no backup of a labelling database: {error}.") from error
    if damage != "ok":
        raise StoreError(f"{copy} is damaged.")
    if not is_ours:
        raise StoreError(f"{copy} is no backup of a labelling database.")
