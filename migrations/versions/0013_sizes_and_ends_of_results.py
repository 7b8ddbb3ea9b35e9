"""How much a checkpoint takes, and models that are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("bytes", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE checkpoints SET bytes = (SELECT coalesce(sum((file ->> 'bytes')::bigint), 0) "
        "FROM jsonb_array_elements(files) AS file)"
    )
    op.alter_column("checkpoints", "bytes", nullable=False)
    for name in ("deleted_at", "purged_at"):
        op.add_column("tuned_models", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tuned_models_unpurged",
        "tuned_models",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL AND purged_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tuned_models_unpurged", table_name="tuned_models")
    for name in ("purged_at", "deleted_at"):
        op.drop_column("tuned_models", name)
    op.drop_column("checkpoints", "bytes")
