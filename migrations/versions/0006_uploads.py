"""Uploads in parts; a file's container, what its check found, when it expires and whether it is deleted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FILE_COLUMNS = ("container", "validation", "expires_at", "deleted_at", "purged_at")


def upgrade() -> None:
    op.add_column("files", sa.Column("container", sa.Text(), nullable=True))
    op.add_column("files", sa.Column("validation", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    for name in ("expires_at", "deleted_at", "purged_at"):
        op.add_column("files", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE files SET container = 'jsonl' WHERE rows IS NOT NULL")
    op.create_index(
        "ix_files_expires_at",
        "files",
        ["expires_at"],
        unique=False,
        postgresql_where="expires_at IS NOT NULL AND deleted_at IS NULL",
    )
    op.create_index(
        "ix_files_unpurged",
        "files",
        ["deleted_at"],
        unique=False,
        postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("mime_type", sa.Text(), nullable=False),
        sa.Column("file_lifetime", sa.Integer(), nullable=True),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_uploads_project_id")),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name=op.f("fk_uploads_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_project_id", "uploads", ["project_id"], unique=False)
    op.create_index(
        "ix_uploads_pending", "uploads", ["expires_at"], unique=False, postgresql_where="status = 'pending'"
    )
    op.create_table(
        "upload_parts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_upload_parts_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_parts")),
    )
    op.create_index("ix_upload_parts_upload_id", "upload_parts", ["upload_id"], unique=False)


def downgrade() -> None:
    op.drop_table("upload_parts")
    op.drop_table("uploads")
    op.drop_index("ix_files_unpurged", table_name="files")
    op.drop_index("ix_files_expires_at", table_name="files")
    for name in FILE_COLUMNS:
        op.drop_column("files", name)
