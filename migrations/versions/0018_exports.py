"""Exports of models, kept or pushed to a Hub."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = ("queued", "running", "succeeded", "failed", "cancelled")


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("repo_id", sa.Text(), nullable=True),
        sa.Column("private", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("hub_token", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("state", sa.Enum(*STATES, name="export_state"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("files", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("manifest", postgresql.JSONB(), nullable=True),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.Column("purged_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_exports_project_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_exports_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
    )
    op.create_index(
        "uq_exports_kept",
        "exports",
        ["project_id", "model", "format"],
        unique=True,
        postgresql_where="repo_id IS NULL AND deleted_at IS NULL AND NOT cancel_requested "
        "AND state IN ('queued', 'running', 'succeeded')",
    )
    op.create_index(
        "uq_exports_pushed",
        "exports",
        ["project_id", "model", "format", "repo_id"],
        unique=True,
        postgresql_where="repo_id IS NOT NULL AND deleted_at IS NULL AND NOT cancel_requested "
        "AND state IN ('queued', 'running')",
    )
    op.create_index("ix_exports_listed", "exports", ["project_id", "model", "created_at", "id"])
    op.create_index("ix_exports_job_id", "exports", ["job_id"])
    op.create_index("ix_exports_line", "exports", ["created_at", "id"], postgresql_where="state = 'queued'")
    op.create_index(
        "ix_exports_leases", "exports", ["lease_expires_at"], postgresql_where="state = 'running'"
    )
    op.create_index(
        "ix_exports_bytes",
        "exports",
        ["project_id"],
        postgresql_include=["bytes"],
        postgresql_where="deleted_at IS NULL AND bytes > 0",
    )
    op.create_index(
        "ix_exports_unpurged",
        "exports",
        ["deleted_at"],
        postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
    )


def downgrade() -> None:
    op.drop_table("exports")
    op.execute("DROP TYPE export_state")
