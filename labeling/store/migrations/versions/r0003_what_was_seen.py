"""What reviewers saw: whose suggestions, in the assignment; and an index of who compared opinions when."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both."""
    op.add_column("assignment", sa.Column("suggested_by", sa.String(length=64), nullable=True))
    compared = sa.text("action = 'opinions compared'")
    op.create_index("ix_audit_compared", "audit", ["account_id", "at"], sqlite_where=compared, postgresql_where=compared)
