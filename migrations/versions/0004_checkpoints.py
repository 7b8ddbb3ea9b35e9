"""Checkpoints; each step's probabilities; what the queue goes by: priority, last claim, retry or not."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("resumable", sa.Boolean(), server_default="true", nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_checkpoints_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoints")),
        sa.UniqueConstraint("job_id", "step", name=op.f("uq_checkpoints_job_id_step")),
    )
    op.add_column("step_records", sa.Column("probabilities", postgresql.ARRAY(sa.REAL()), nullable=True))
    op.add_column("jobs", sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("retrying", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("jobs", sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_jobs_project_id_claimed_at", "jobs", ["project_id", "claimed_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_jobs_project_id_claimed_at", table_name="jobs")
    op.drop_column("jobs", "claimed_at")
    op.drop_column("jobs", "retrying")
    op.drop_column("jobs", "priority")
    op.drop_column("step_records", "probabilities")
    op.drop_table("checkpoints")
