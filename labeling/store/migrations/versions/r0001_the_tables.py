"""The tables, and the triggers that let history and audit only grow."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_ERASING = {
    "audit": "0 = 1",
    "annotation_version": "EXISTS (SELECT 1 FROM assignment JOIN ad ON ad.number = assignment.ad_number "
    "WHERE assignment.id = OLD.assignment_id AND ad.erasing)",
    "adjudication_version": "EXISTS (SELECT 1 FROM ad WHERE ad.number = OLD.ad_number AND ad.erasing)",
}
"""Table that only grows → when a row of it may go all the same."""


def upgrade() -> None:
    """All that there is."""
    _tables()
    for table, erasing in _ERASING.items():
        if op.get_bind().dialect.name == "sqlite":
            _sqlite_triggers(table, erasing)
        else:
            _postgresql_triggers(table, erasing)


def _tables() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("opt_outs", _JSON, nullable=False),
        sa.Column("daily_limit", sa.Integer(), nullable=True),
        sa.Column("failed_sign_ins", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("name", name="uq_account_name"),
    )
    op.create_table(
        "ad",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("slots_left", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("gold", _JSON, nullable=True),
        sa.Column("erasing", sa.Boolean(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_ad"),
        sa.UniqueConstraint("id", name="uq_ad_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_ad_gold", "ad", ["number"], sqlite_where=sa.text("gold IS NOT NULL"), postgresql_where=sa.text("gold IS NOT NULL")
    )
    op.create_index("ix_ad_group_id", "ad", ["group_id"])
    op.create_index("ix_ad_imported_at", "ad", ["imported_at"])
    op.create_index(
        "ix_ad_queue", "ad", ["rank"], sqlite_where=sa.text("slots_left > 0"), postgresql_where=sa.text("slots_left > 0")
    )
    op.create_index("ix_ad_state", "ad", ["state"])

    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=True),
        sa.Column("action", sa.String(length=24), nullable=False),
        sa.Column("ad_number", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_ad_number", "audit", ["ad_number"])
    op.create_index("ix_audit_at", "audit", ["at"])

    op.create_table(
        "export",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=True),
        sa.Column("ads", sa.Integer(), nullable=False),
        sa.Column("settings", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_export"),
    )
    op.create_table(
        "feedback",
        sa.Column("outbox", sa.String(length=12), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ad_id", sa.String(length=200), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=True),
        sa.Column("spans", _JSON, nullable=False),
        sa.Column("reviewer", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("outbox", "seq", name="pk_feedback"),
    )
    op.create_index("ix_feedback_ad_id", "feedback", ["ad_id"])

    op.create_table(
        "project_settings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("settings", _JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project_settings"),
    )
    op.create_table(
        "adjudication",
        sa.Column("ad_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("adjudicator_id", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=True),
        sa.Column("spans", _JSON, nullable=False),
        sa.Column("cannot_decide", sa.String(length=500), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_adjudication_ad_number"),
        sa.ForeignKeyConstraint(["adjudicator_id"], ["account.id"], name="fk_adjudication_adjudicator_id"),
        sa.PrimaryKeyConstraint("ad_number", name="pk_adjudication"),
    )
    op.create_table(
        "adjudication_version",
        sa.Column("ad_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("adjudicator_id", sa.String(length=12), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=True),
        sa.Column("spans", _JSON, nullable=False),
        sa.Column("cannot_decide", sa.String(length=500), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_adjudication_version_ad_number"),
        sa.ForeignKeyConstraint(["adjudicator_id"], ["account.id"], name="fk_adjudication_version_adjudicator_id"),
        sa.PrimaryKeyConstraint("ad_number", "version", name="pk_adjudication_version"),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ad_number", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("gold", sa.Boolean(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_assignment_account_id"),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_assignment_ad_number"),
        sa.PrimaryKeyConstraint("id", name="pk_assignment"),
        sa.UniqueConstraint("account_id", "ad_number", name="uq_assignment_account_id_ad_number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assignment_ad_number", "assignment", ["ad_number"])
    op.create_index(
        "ix_assignment_lease",
        "assignment",
        ["leased_until"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_assignment_shown", "assignment", ["account_id", "assigned_at"])
    op.create_index("ix_assignment_state", "assignment", ["account_id", "state"])

    op.create_table(
        "sign_in_session",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_sign_in_session_account_id"),
        sa.PrimaryKeyConstraint("token_digest", name="pk_sign_in_session"),
    )
    op.create_index("ix_sign_in_session_account_id", "sign_in_session", ["account_id"])

    op.create_table(
        "ad_sketch",
        sa.Column("ad_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sketch", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_ad_sketch_ad_number"),
        sa.PrimaryKeyConstraint("ad_number", name="pk_ad_sketch"),
    )
    op.create_table(
        "suggested_label",
        sa.Column("ad_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_suggested_label_ad_number"),
        sa.PrimaryKeyConstraint("ad_number", "label", name="pk_suggested_label"),
    )
    op.create_table(
        "suggestion",
        sa.Column("ad_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bundle_digest", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=False),
        sa.Column("document_type_probability", sa.Double(), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ad_number"], ["ad.number"], name="fk_suggestion_ad_number"),
        sa.PrimaryKeyConstraint("ad_number", name="pk_suggestion"),
    )
    op.create_index("ix_suggestion_bundle_digest", "suggestion", ["bundle_digest"])

    op.create_table(
        "annotation",
        sa.Column("assignment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=True),
        sa.Column("spans", _JSON, nullable=False),
        sa.Column("cannot_decide", sa.String(length=500), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_annotation_assignment_id"),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_annotation"),
    )
    op.create_table(
        "annotation_version",
        sa.Column("assignment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("labels", _JSON, nullable=False),
        sa.Column("document_type", sa.String(length=40), nullable=True),
        sa.Column("spans", _JSON, nullable=False),
        sa.Column("cannot_decide", sa.String(length=500), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name="fk_annotation_version_assignment_id"),
        sa.PrimaryKeyConstraint("assignment_id", "version", name="pk_annotation_version"),
    )


def _sqlite_triggers(table: str, erasing: str) -> None:
    op.execute(f"CREATE TRIGGER {table}_keeps BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{table} only grows'); END")
    op.execute(
        f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} WHEN NOT ({erasing}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
    )


def _postgresql_triggers(table: str, erasing: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'DELETE' THEN IF {erasing} THEN RETURN OLD; END IF; END IF; "
        f"RAISE EXCEPTION '{table} only grows'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_only_grows()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_is_not_emptied BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_only_grows()"
    )
