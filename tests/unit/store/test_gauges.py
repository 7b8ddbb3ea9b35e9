"""What a metrics scrape reads: the numbers, and how PostgreSQL finds them."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from store import gauges, runs
from store.database import Database
from store.projects import DEFAULT_PROJECT, create_project
from store.steps import append_steps
from store.tables import State
from tests.factories import claim, claimed, make_job, step

MANY = 20_000


def test_jobs_are_counted_by_project_priority_and_state(database: Database) -> None:
    with database.session() as session:
        other = create_project(session, name="other").id
        urgent = make_job(session)
        urgent.priority = 5
        make_job(session)
        make_job(session, project_id=other)
    held = claimed(database)
    with database.session() as session:
        assert runs.finish_failed(session, held.job_id, held.attempt, code="x", message="y") is not None
        whole = {(g.project_id, g.priority, g.state): g.count for g in gauges.live_jobs(session, None)}
        own = gauges.live_jobs(session, other)
        assert gauges.ended_jobs(session, None) == {State.FAILED: 1}
        assert gauges.ended_jobs(session, other) == {}
    assert whole == {
        (DEFAULT_PROJECT, 5, State.QUEUED): 1,
        (DEFAULT_PROJECT, 0, State.QUEUED): 1,
        (other, 0, State.QUEUED): 1,
    }
    assert [(jobs.project_id, jobs.count) for jobs in own] == [(other, 1)]


def test_a_running_job_is_told_of_by_its_latest_step(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert append_steps(session, held.job_id, held.attempt, [step(1), step(2, loss=0.5)])
        (job,) = gauges.running_jobs(session, None)
        assert gauges.running_jobs(session, "none") == []
    assert (job.job_id, job.step, job.metrics["loss"]) == (held.job_id, 2, 0.5)
    with database.session() as session:
        assert runs.release(session, held.job_id, held.attempt, message="stopped") is not None
        assert gauges.running_jobs(session, None) == []
    claim(database, held.job_id)


def plan(database: Database, query: gauges.Query) -> str:
    sql = query.compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.engine.connect() as connection:
        return "\n".join(connection.scalars(text(f"EXPLAIN {sql}")))


@pytest.fixture
def crowded(database: Database) -> Database:
    """Many jobs that have ended, a few that wait, one that runs, with many steps."""
    held = claimed(database)
    with database.session() as session:
        make_job(session)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        columns = "project_id, spec, request, model, training_file"
        connection.execute(
            text(
                f"INSERT INTO jobs (id, state, finished_at, {columns}) "  # noqa: S608  # fixed names
                f"SELECT 'ended-' || n, 'succeeded', now(), {columns} FROM jobs, generate_series(1, :many) n "
                "WHERE jobs.id = :job"
            ),
            {"job": held.job_id, "many": MANY},
        )
        connection.execute(
            text(
                "INSERT INTO step_records (job_id, step, seq, attempt, time, metrics, importance, active) "
                "SELECT :job, n, n, 1, now(), '{\"loss\": 1}', '{}', '{}' FROM generate_series(1, :many) n"
            ),
            {"job": held.job_id, "many": MANY},
        )
        connection.execute(text("CHECKPOINT"))  # VACUUM marks no page whose rows' commit is not yet flushed
        connection.execute(text("VACUUM ANALYZE jobs, step_records"))
    return database


@pytest.mark.parametrize("project_id", [None, DEFAULT_PROJECT])
def test_a_scrape_reads_no_table_whole(crowded: Database, project_id: str | None) -> None:
    live = plan(crowded, gauges.live_jobs_query(project_id))
    assert "ix_jobs_live" in live
    ended = plan(crowded, gauges.ended_jobs_query(project_id))
    assert "Index Only Scan using ix_jobs_ended" in ended
    running = plan(crowded, gauges.running_jobs_query(project_id))
    assert "ix_jobs_live" in running
    assert "Index Scan Backward using pk_step_records" in running
    assert "Seq Scan" not in live + ended + running
