"""An index that holds all that the dashboard's progress counts."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it."""
    no_gold = sa.text("gold IS NULL")
    op.create_index("ix_ad_progress", "ad", ["state", "language"], sqlite_where=no_gold, postgresql_where=no_gold)
