"""The database of keys: its tables, and how SQLite and PostgreSQL are opened.

Two tables need no migration tool, so ``create_all`` makes them, and a row with the version of the schema is checked at every
start: a database of another version is refused and not guessed at. A second version would be the time for Alembic.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from serving.errors import KeyStoreError

SCHEMA_VERSION = 1
BUSY_SECONDS = 10
"""How long a write waits for another process's."""
CONNECT_SECONDS = 5
_CREATION_LOCK = 0x5349474E41414C  # "SIGNAAL"; any number that all our processes share


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


metadata = MetaData()

schema = Table("api_keys_schema", metadata, Column("version", Integer, primary_key=True))

keys = Table(
    "api_keys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("scopes", String(100), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("previous_digest", String(64)),
    Column("previous_until", UtcDateTime),
    Column("created", UtcDateTime, nullable=False),
    Column("expires", UtcDateTime),
    Column("revoked", UtcDateTime),
    Column("last_used", Date),
    Column("ads_per_minute", Integer),
    Column("ads_per_day", Integer),
)

quota_use = Table(
    "api_quota_use",
    metadata,
    Column("key_id", String(12), ForeignKey("api_keys.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("ads", BigInteger, nullable=False),
)


def open_database(address: str) -> Engine:
    """The engine for an address, with the tables made when there are none.

    Args:
        address: ``sqlite:///FILE`` or ``postgresql://…``.

    Raises:
        KeyStoreError: it cannot be opened, or holds another version of the schema. The message never has a password.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise KeyStoreError(_unusable("SIGNAAL_SERVE_DATABASE_URL is not the address of a database")) from None
    name = url.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise KeyStoreError(_unusable(f"SIGNAAL_SERVE_DATABASE_URL begins with {name}"))
    engine = _sqlite(url) if name == "sqlite" else _postgres(url)
    try:
        with engine.execution_options(writes=True).begin() as connection:
            _make_tables(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        raise store_error(engine, error) from error
    except KeyStoreError:
        engine.dispose()
        raise
    return engine


def store_error(engine: Engine, error: SQLAlchemyError) -> KeyStoreError:
    """Says what the database said, without what was asked of it."""
    said = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0].rstrip(".")
    return KeyStoreError(
        f"The database of keys ({engine.url.render_as_string(hide_password=True)}) cannot be used: {said}. "
        "Look whether it runs and may be written to; SIGNAAL_SERVE_DATABASE_URL says which one is used."
    )


def _unusable(what: str) -> str:
    return f"{what}. Give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."


def _make_tables(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two servers that start at once would both make the tables. (SQLite's write lock is held already.)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CREATION_LOCK})
    metadata.create_all(connection)
    version = connection.scalar(select(schema.c.version))
    if version is None:
        connection.execute(insert(schema).values(version=SCHEMA_VERSION))
    elif version != SCHEMA_VERSION:
        raise KeyStoreError(
            f"The database of keys has version {version} of its tables, and this version of Signaal knows {SCHEMA_VERSION}. "
            "Use the version of Signaal that made it, or another database."
        )


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise KeyStoreError(_unusable("SIGNAAL_SERVE_DATABASE_URL names no file"))
    _keep_private(Path(url.database))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins no transactions; the listener below does
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads and then writes fails at once when another wrote in between, however long it may wait.
        # So the lock is taken first.
        immediate = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _keep_private(file: Path) -> None:
    """Only the owner may read it; the files that SQLite puts beside it get the same mode."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
    except OSError as error:
        raise KeyStoreError(
            f"The database of keys {file} cannot be opened for its owner alone ({error.strerror}). "
            "SIGNAAL_SERVE_DATABASE_URL says which one is used."
        ) from error


def _postgres(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ImportError as error:
        raise KeyStoreError("PostgreSQL needs its driver: from a checkout, pip install '.[postgres]'.") from error
