"""A file's format; and a spec's `optimizer_state` that was called `drop` is called `reset`."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RENAME = """
UPDATE jobs SET spec = jsonb_set(spec, '{ist,optimizer_state}', to_jsonb(CAST(:new AS text)))
WHERE spec #>> '{ist,optimizer_state}' = :old
"""


def upgrade() -> None:
    op.add_column("files", sa.Column("format", sa.Text(), server_default="chat", nullable=False))
    op.execute(sa.text(RENAME).bindparams(old="drop", new="reset"))


def downgrade() -> None:
    op.execute(sa.text(RENAME).bindparams(old="reset", new="drop"))
    op.drop_column("files", "format")
