"""The database: SQLite or PostgreSQL by address, brought up to date when it is opened.

SQLite runs in WAL mode with ``synchronous = FULL``: what was committed survives a power cut. A writing transaction takes the
write lock at its beginning, so it never fails half-way because another wrote in between; writers of one process stand in line
for it, which is fairer and faster than SQLite's own polling.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from labeling.errors import StoreError
from labeling.store.migrating import upgrade

BUSY_SECONDS = 30
"""How long a write waits for another process's."""
CONNECT_SECONDS = 5
ADDRESS = "SIGNAAL_LABEL_DATABASE_URL"


class Database:
    """An open database.

    Args:
        address: ``sqlite:///FILE`` or ``postgresql://…``.
        up_to_date: whoever opens it knows that its tables are this version's.

    Raises:
        StoreError: it cannot be opened. The message never has a password or a value that was stored.
    """

    def __init__(self, address: str, *, up_to_date: bool = False) -> None:
        self.url = parsed(address)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        engine = _sqlite(self.url) if self.is_sqlite else _postgres(self.url)
        # A transaction of SQLite sees one state anyway; PostgreSQL's, unless told so, one for each statement.
        self._reader = engine if self.is_sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
        self._writer = engine.execution_options(writes=True)
        self._line = threading.Lock() if self.is_sqlite else nullcontext()
        if up_to_date:
            return
        try:
            with self._saying_what_failed(), self._line, self._writer.begin() as connection:
                upgrade(connection)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Let the connections go."""
        self._reader.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the data and changes nothing."""
        with self._saying_what_failed(), Session(self._reader, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()  # what was read stays readable; the rollback would make it stale
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on any error. Keep it short: on SQLite nobody else
        writes meanwhile."""
        with self._saying_what_failed(), self._line, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def empty_log(self) -> None:
        """SQLite: move everything from the write-ahead log into the file, so that nothing that was erased stays in the log."""
        if self.is_sqlite:
            with self._saying_what_failed(), self._line, closing(self._reader.raw_connection()) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0].rstrip(".")
            raise StoreError(
                f"The labelling database ({self.url.render_as_string(hide_password=True)}) cannot be used: {said}. "
                f"Look whether it runs and may be written to; {ADDRESS} says which one is used."
            ) from error


def parsed(address: str) -> URL:
    """The address of a database, checked.

    Raises:
        StoreError: it is none, or of another kind.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise StoreError(_unusable(f"{ADDRESS} is not the address of a database")) from None
    name = url.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise StoreError(_unusable(f"{ADDRESS} begins with {name}"))
    if name == "sqlite" and (not url.database or url.database == ":memory:"):
        raise StoreError(_unusable(f"{ADDRESS} names no file"))
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def private_file(file: Path) -> None:
    """Make a file that only its owner may read, and its folder; what SQLite puts beside it gets the same mode.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
    except OSError as error:
        raise StoreError(f"{file} cannot be opened for its owner alone ({error.strerror}).") from error


def _unusable(what: str) -> str:
    return f"{what}. Give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."


def _sqlite(url: URL) -> Engine:
    private_file(Path(url.database or ""))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions; the listener below does
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres(url: URL) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ImportError as error:
        raise StoreError("PostgreSQL needs its driver: from a checkout, pip install '.[postgres]'.") from error
