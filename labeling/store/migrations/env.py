"""What Alembic runs around the steps; the connection is ours and in a transaction already."""

from alembic import context

from labeling.store.migrating import VERSION_TABLE
from labeling.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    compare_server_default=True,
    render_as_batch=connection.dialect.name == "sqlite",
    include_name=lambda name, kind, _: kind != "table" or name in Base.metadata.tables,
)
context.run_migrations()
