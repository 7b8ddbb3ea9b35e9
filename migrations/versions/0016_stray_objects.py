"""Objects that no row names, from when they are first seen until they are removed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stray_objects",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_stray_objects")),
    )
    op.create_index(op.f("ix_stray_objects_seen_at"), "stray_objects", ["seen_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_stray_objects_seen_at"), table_name="stray_objects")
    op.drop_table("stray_objects")
