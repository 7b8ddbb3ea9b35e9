"""Lists, the queue and counts among many jobs: a column of the precise state, and an index a question."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PRECISE_STATE = """
CASE
    WHEN ((state = 'running'::job_state) AND cancel_requested) THEN 'cancelling'::text
    WHEN ((state = 'running'::job_state) AND pause_requested) THEN 'pausing'::text
    WHEN ((state = 'queued'::job_state) AND retrying) THEN 'retrying'::text
    WHEN (state = 'validating_files'::job_state) THEN 'validating_files'::text
    WHEN (state = 'queued'::job_state) THEN 'queued'::text
    WHEN (state = 'running'::job_state) THEN 'running'::text
    WHEN (state = 'paused'::job_state) THEN 'paused'::text
    WHEN (state = 'succeeded'::job_state) THEN 'succeeded'::text
    WHEN (state = 'failed'::job_state) THEN 'failed'::text
    ELSE 'cancelled'::text
END
"""

# Lower case, with a line break between the names so that no run of three goes from one to the next.
GRAMS = """
CREATE FUNCTION job_grams(VARIADIC names text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(array_agg(DISTINCT substr(line, place, 3)), '{}')
    FROM (SELECT lower(array_to_string(names, E'\\n')) AS line) AS joined,
         generate_series(1, length(line) - 2) AS place
$$
"""

LISTED = {
    "ix_jobs_listed_by_state": ["project_id", "precise_state", "created_at", "id"],
    "ix_jobs_listed_by_model": ["project_id", "model", "created_at", "id"],
    "ix_jobs_listed_by_both": ["project_id", "model", "precise_state", "created_at", "id"],
}
QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.execute(GRAMS)
    op.add_column("jobs", sa.Column("precise_state", sa.Text(), sa.Computed(PRECISE_STATE, persisted=True)))
    op.alter_column("jobs", "precise_state", nullable=False)
    for name, columns in LISTED.items():
        op.create_index(name, "jobs", columns)
    op.create_index(
        "ix_jobs_metadata",
        "jobs",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    )
    grams = sa.text("job_grams(VARIADIC ARRAY[id, suffix, model, fine_tuned_model])")
    op.create_index("ix_jobs_grams", "jobs", [grams], postgresql_using="gin")
    op.create_index(
        "ix_jobs_line", "jobs", ["priority", "project_id", "created_at", "id"], postgresql_where=QUEUED
    )
    woken = sa.text("COALESCE(sent_at, '-infinity'::timestamp with time zone)")
    op.create_index("ix_jobs_woken", "jobs", [woken], postgresql_where=QUEUED)
    op.create_index(
        "ix_jobs_started",
        "jobs",
        ["project_id", "started_at"],
        postgresql_include=["run_seconds"],
        postgresql_where=sa.text("started_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_succeeded", "jobs", ["finished_at"], postgresql_where=sa.text("state = 'succeeded'")
    )
    # The functions' and expressions' statistics: without them the planner knows nothing of the new indexes.
    op.execute("ANALYZE jobs")


def downgrade() -> None:
    for name in (
        "ix_jobs_succeeded",
        "ix_jobs_started",
        "ix_jobs_woken",
        "ix_jobs_line",
        "ix_jobs_grams",
        "ix_jobs_metadata",
        *reversed(LISTED),
    ):
        op.drop_index(name, table_name="jobs")
    op.drop_column("jobs", "precise_state")
    op.execute("DROP FUNCTION job_grams(text[])")
