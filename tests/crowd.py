"""A table of many jobs, made by one statement, and what PostgreSQL reads to answer a query on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event, text

from store.database import Database
from store.projects import DEFAULT_PROJECT
from tests.factories import make_job

# Ended jobs of three models and states over half a year, each a minute after the one before; the newest few
# run. Every tenth job is of the team "even", one of the team "rare".
JOBS = """
INSERT INTO jobs (
    id, project_id, created_at, state, spec, request, model, training_file, suffix, metadata, priority,
    attempt, claimed_at, lease_expires_at, last_seq, step, total_steps, layers, started_at, run_started_at,
    run_seconds, finished_at, fine_tuned_model
)
SELECT
    'ftjob-' || substr(md5(n::text), 1, 24), :project, moment, phase::job_state, spec, request,
    (ARRAY['tiny', 'org/base-135m', 'org/base-360m'])[n % 3 + 1], training_file,
    CASE WHEN n = :many / 2 THEN 'needle' END,
    jsonb_build_object(
        'team', CASE WHEN n = :many / 2 THEN 'rare' WHEN n % 10 = 0 THEN 'tenth' ELSE 'others' END,
        'run', n::text
    ),
    0, 1, moment, CASE WHEN phase = 'running' THEN now() + interval '1 minute' END, 200, 100, 100, 30,
    moment, CASE WHEN phase = 'running' THEN moment END, 600, CASE WHEN phase <> 'running' THEN moment END,
    CASE WHEN phase = 'succeeded' THEN 'ft:tiny:isthmus::' || substr(md5(n::text), 1, 8) END
FROM
    (
        SELECT
            n, now() - (:many - n + 60) * interval '1 minute' AS moment,
            CASE
                WHEN n > :many - :running THEN 'running'
                ELSE (ARRAY['succeeded', 'succeeded', 'failed', 'cancelled'])[n % 4 + 1]
            END AS phase
        FROM generate_series(1, :many) AS n
    ) AS made,
    jobs AS like_this
WHERE like_this.id = :job
"""

QUEUED = """
INSERT INTO jobs (id, project_id, created_at, state, spec, request, model, training_file, priority, sent_at)
SELECT
    'ftjob-queued' || n, :project, now() - (:queued - n) * interval '1 second', 'queued', spec, request,
    model, training_file, n % 3, now()
FROM jobs, generate_series(1, :queued) AS n WHERE jobs.id = :job
"""

EVENTS = """
INSERT INTO events (job_id, seq, id, created_at, level, type, message, data)
SELECT jobs.id, n, 'ftevent-' || jobs.id || n, jobs.created_at, 'info', 'message', 'Step', '{}'
FROM jobs, generate_series(1, 2) AS n WHERE jobs.id LIKE 'ftjob-%' AND state <> 'queued'
"""

STEPS = """
INSERT INTO step_records (job_id, step, seq, attempt, time, metrics, importance, active)
SELECT :job, n, n, 1, now(), '{"loss": 1}', '{0.5}', '{0}' FROM generate_series(1, :steps) AS n
"""


def fill(
    database: Database,
    *,
    jobs: int,
    running: int = 8,
    queued: int = 0,
    events: bool = False,
    steps: int = 0,
    project_id: str = DEFAULT_PROJECT,
) -> str:
    """Add so many jobs to a project, and `queued` ones to wait; the id of a queued job made in order."""
    with database.session() as session:
        job_id = make_job(session, project_id=project_id).id
    common = {"job": job_id, "project": project_id}
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A row whose commit may still be lost is not marked as visible to all, which index-only scans need.
        connection.execute(text("SET synchronous_commit = on"))
        connection.execute(text(JOBS), {**common, "many": jobs, "running": running})
        connection.execute(text(QUEUED), {**common, "queued": queued})
        if events:
            connection.execute(text(EVENTS))
        connection.execute(text(STEPS), {"job": job_id, "steps": steps})
        connection.execute(text("CHECKPOINT"))  # VACUUM marks no page whose rows' commit is not yet flushed
        connection.execute(text("VACUUM ANALYZE jobs, events, step_records"))
    return job_id


# A change is planned for and not made: of it only the way is known, not the rows.
EXPLAINED = {"SELECT": "ANALYZE, ", "WITH": "ANALYZE, ", "UPDATE": "", "DELETE": ""}


@dataclass(frozen=True, slots=True)
class Plan:
    """How PostgreSQL answers a query, measured while it did."""

    verb: str
    nodes: list[dict[str, Any]]

    @property
    def scanned(self) -> list[str]:
        """The tables that are read from end to end."""
        return [node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"]

    @property
    def indexes(self) -> set[str]:
        """The indexes that are used."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def rows_read(self) -> int:
        """Rows and index entries that were looked at, also those that a filter then left out."""
        return round(sum(_rows(node) for node in self.nodes if "Relation Name" in node))

    @property
    def fetched_by_index_only(self) -> bool:
        """Whether no row of a table was looked at, but for pages that changed since the last vacuum."""
        return all(node["Node Type"] == "Index Only Scan" for node in self.nodes if "Relation Name" in node)


@contextmanager
def plans(database: Database) -> Iterator[list[Plan]]:
    """The plans of all that is asked of the database within the block, in order."""
    found: list[Plan] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        del connection
        verb = statement.split(maxsplit=1)[0]
        if verb in EXPLAINED:
            with cursor.connection.cursor() as own:
                own.execute(f"EXPLAIN ({EXPLAINED[verb]}FORMAT JSON) {statement}", parameters)
                found.append(Plan(verb, _walk(own.fetchone()[0][0]["Plan"])))

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)


def _walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node.get("Plans", []) for below in _walk(child))]


def _rows(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node.get("Actual Rows", 0) + removed) * node.get("Actual Loops", 1))
