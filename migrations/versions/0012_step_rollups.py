"""Roll-ups of the step records, filled from those that there are; how many items a trainer has reported."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

WIDTHS = (8, 32, 128, 512, 2048, 8192, 32768, 131072)

FILL = """
WITH closed AS (
    SELECT record.*, (record.step - 1) / :width AS bucket
    FROM step_records AS record JOIN jobs ON jobs.id = record.job_id
    WHERE record.step <= jobs.step / :width * :width
), axis AS (
    SELECT job_id, bucket, max(step) AS step, (array_agg(time ORDER BY step DESC))[1] AS time,
           count(*) AS count, count(probabilities) AS probable
    FROM closed GROUP BY job_id, bucket
), metric AS (
    SELECT job_id, bucket, key, count(value)::int AS told, coalesce(avg(value), 'NaN') AS mean,
           coalesce(min(value), 'NaN') AS low, coalesce(max(value), 'NaN') AS high
    FROM (
        SELECT job_id, bucket, key,
               CASE jsonb_typeof(value) WHEN 'number' THEN value::text::float8 END AS value
        FROM closed, jsonb_each(metrics)
    ) AS told GROUP BY job_id, bucket, key
), metrics AS (
    SELECT job_id, bucket, jsonb_agg(key ORDER BY key) AS keys, array_agg(told ORDER BY key) AS told,
           array_agg(mean ORDER BY key) AS mean, array_agg(low ORDER BY key) AS low,
           array_agg(high ORDER BY key) AS high
    FROM metric GROUP BY job_id, bucket
), layer AS (
    SELECT job_id, bucket, layer, avg(score)::real AS importance, avg(chance)::real AS probability,
           (count(*) FILTER (WHERE layer - 1 = ANY (active)))::int AS updated
    FROM closed, unnest(importance, probabilities) WITH ORDINALITY AS told (score, chance, layer)
    GROUP BY job_id, bucket, layer
), layers AS (
    SELECT job_id, bucket, array_agg(importance ORDER BY layer) AS importance,
           array_agg(updated ORDER BY layer) AS updated,
           array_agg(probability ORDER BY layer) AS probabilities
    FROM layer GROUP BY job_id, bucket
)
INSERT INTO step_rollups (job_id, level, bucket, step, time, count, keys, told, mean, low, high,
                          importance, updated, probabilities, probable)
SELECT job_id, :level, bucket, step, time, count, coalesce(keys, '[]'), coalesce(told, '{}'),
       coalesce(mean, '{}'), coalesce(low, '{}'), coalesce(high, '{}'), coalesce(importance, '{}'),
       coalesce(updated, '{}'), CASE WHEN probable > 0 THEN probabilities END, probable
FROM axis LEFT JOIN metrics USING (job_id, bucket) LEFT JOIN layers USING (job_id, bucket)
"""


def upgrade() -> None:
    numbers = postgresql.ARRAY(sa.Integer())
    floats: postgresql.ARRAY[float] = postgresql.ARRAY(postgresql.DOUBLE_PRECISION())
    op.create_table(
        "step_rollups",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("keys", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("told", numbers, nullable=False),
        sa.Column("mean", floats, nullable=False),
        sa.Column("low", floats, nullable=False),
        sa.Column("high", floats, nullable=False),
        sa.Column("importance", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.Column("updated", numbers, nullable=False),
        sa.Column("probabilities", postgresql.ARRAY(sa.REAL()), nullable=True),
        sa.Column("probable", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_step_rollups_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "level", "bucket", name=op.f("pk_step_rollups")),
    )
    # A row of many layers stays in one piece, and no time is spent on squeezing floats.
    op.execute("ALTER TABLE step_rollups SET (toast_tuple_target = 8160)")
    for column in ("told", "mean", "low", "high", "importance", "updated", "probabilities"):
        op.execute(f"ALTER TABLE step_rollups ALTER COLUMN {column} SET STORAGE EXTERNAL")
    connection = op.get_bind()
    for level, width in enumerate(WIDTHS, 1):
        connection.execute(sa.text(FILL), {"level": level, "width": width})
    op.add_column("jobs", sa.Column("reported", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("jobs", "reported")
    op.drop_table("step_rollups")
