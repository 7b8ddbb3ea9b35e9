"""Projects and their keys: every file, job and model belongs to one; a job knows how long it has run."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

OWNED = ("files", "jobs", "tuned_models")
PAGED = ("files", "jobs")

SIZES = """
UPDATE tuned_models SET bytes = (
    SELECT coalesce(sum(CAST(artifact ->> 'bytes' AS bigint)), 0)
    FROM jsonb_array_elements(artifacts) AS artifact
)
"""


def upgrade() -> None:
    _create_projects()
    _create_api_keys()
    for table in OWNED:
        # The server default fills the rows that are there; from now on a row has to say whose it is.
        op.add_column(table, sa.Column("project_id", sa.Text(), server_default="default", nullable=False))
        op.alter_column(table, "project_id", server_default=None)
        op.create_foreign_key(op.f(f"fk_{table}_project_id"), table, "projects", ["project_id"], ["id"])
    for table in PAGED:
        op.drop_index(f"ix_{table}_created_at_id", table_name=table)
        op.create_index(
            f"ix_{table}_project_id_created_at_id", table, ["project_id", "created_at", "id"], unique=False
        )
    op.create_index("ix_tuned_models_project_id", "tuned_models", ["project_id"], unique=False)
    op.add_column("tuned_models", sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(SIZES)
    op.alter_column("tuned_models", "bytes", server_default=None)
    op.add_column("jobs", sa.Column("run_started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("run_seconds", sa.Float(), server_default="0", nullable=False))
    op.execute("UPDATE jobs SET run_started_at = now() WHERE state = 'running'")


def downgrade() -> None:
    op.drop_column("jobs", "run_seconds")
    op.drop_column("jobs", "run_started_at")
    op.drop_column("tuned_models", "bytes")
    op.drop_index("ix_tuned_models_project_id", table_name="tuned_models")
    for table in PAGED:
        op.drop_index(f"ix_{table}_project_id_created_at_id", table_name=table)
        op.create_index(f"ix_{table}_created_at_id", table, ["created_at", "id"], unique=False)
    for table in OWNED:
        op.drop_constraint(op.f(f"fk_{table}_project_id"), table, type_="foreignkey")
        op.drop_column(table, "project_id")
    op.drop_index("ix_api_keys_project_id_created_at_id", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("projects")


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_jobs", sa.Integer(), nullable=True),
        sa.Column("max_bytes", sa.BigInteger(), nullable=True),
        sa.Column("max_minutes", sa.Integer(), nullable=True),
        sa.Column("max_requests_per_minute", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.execute("INSERT INTO projects (id, name) VALUES ('default', 'default')")


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_api_keys_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_index(
        "ix_api_keys_project_id_created_at_id", "api_keys", ["project_id", "created_at", "id"], unique=False
    )
