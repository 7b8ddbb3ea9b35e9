"""The project of a checkpoint: what it stores is added up by an index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("project_id", sa.Text()))
    op.execute(
        "UPDATE checkpoints SET project_id = jobs.project_id FROM jobs WHERE jobs.id = checkpoints.job_id"
    )
    op.alter_column("checkpoints", "project_id", nullable=False)
    op.create_foreign_key(
        op.f("fk_checkpoints_project_id"), "checkpoints", "projects", ["project_id"], ["id"]
    )
    op.create_index("ix_checkpoints_project_id", "checkpoints", ["project_id"], postgresql_include=["bytes"])


def downgrade() -> None:
    op.drop_index("ix_checkpoints_project_id", table_name="checkpoints")
    op.drop_constraint(op.f("fk_checkpoints_project_id"), "checkpoints", type_="foreignkey")
    op.drop_column("checkpoints", "project_id")
