"""Brings a database up to this version's tables with Alembic; its scripts are in the package."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from labeling.errors import StoreError

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "labeling_version"
"""Not Alembic's own name, so that a PostgreSQL database can be shared, with MLflow for one."""
_UPGRADE_LOCK = 0x5349474C4142  # any number that all our processes share


def config_for(connection: Connection | None) -> Config:
    """Alembic's configuration, on a connection that is open."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the database up to date, in the connection's transaction. Two processes that start at once do it once.

    Raises:
        StoreError: a newer version of Signaal made it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
    config = config_for(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"The labelling database is of revision {current}, which this version of Signaal does not know. "
            "Use the version that made it, or a backup of before."
        )
    command.upgrade(config, "head")
