"""The end of a job's id, which its checkpoints' names have: found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_short_id", "jobs", [sa.text('lower("right"(id, 8))')])


def downgrade() -> None:
    op.drop_index("ix_jobs_short_id", table_name="jobs")
