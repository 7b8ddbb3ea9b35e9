"""Webhooks that are changed, switched off, given a new secret, and tested."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False))
    op.add_column(
        "webhooks", sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False)
    )
    op.execute("UPDATE webhooks SET updated_at = created_at")
    op.add_column("webhooks", sa.Column("old_secret", sa.Text(), nullable=True))
    op.add_column("webhooks", sa.Column("old_secret_until", MOMENT, nullable=True))
    op.alter_column("webhook_deliveries", "job_id", nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM webhook_deliveries WHERE job_id IS NULL")
    op.alter_column("webhook_deliveries", "job_id", nullable=False)
    for name in ("old_secret_until", "old_secret", "updated_at", "enabled"):
        op.drop_column("webhooks", name)
