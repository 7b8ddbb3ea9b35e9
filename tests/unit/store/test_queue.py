"""The queue's order: priority, turns between projects, and no job for two workers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text

from store import runs
from store.database import Database
from store.projects import create_project
from store.queue import claim_next, places
from store.steps import append_steps
from store.tables import Job
from tests.factories import make_job, step


def queue_up(database: Database, project_id: str, priority: int = 0) -> str:
    with database.session() as session:
        job_id = make_job(session, project_id=project_id).id
        row = session.get(Job, job_id)
        assert row is not None
        row.priority = priority
    return job_id


def taken(database: Database, count: int) -> list[str]:
    """The next jobs, each run to its end at once."""
    ids = []
    for _ in range(count):
        with database.session() as session:
            held = claim_next(session, worker="test", lease_seconds=30)
            assert held is not None
            runs.finish_failed(session, held.job_id, held.attempt, code="x", message="done")
        ids.append(held.job_id)
    return ids


@pytest.fixture
def projects(database: Database) -> tuple[str, str]:
    with database.session() as session:
        return create_project(session, name="a").id, create_project(session, name="b").id


def test_projects_take_turns_and_priority_comes_first(database: Database, projects: tuple[str, str]) -> None:
    a, b = projects
    many = [queue_up(database, a) for _ in range(3)]
    low = queue_up(database, b, priority=-10)
    one = queue_up(database, b)
    high = queue_up(database, a, priority=10)
    expected = [high, one, *many, low]
    with database.session() as session:
        found = places(session, set(expected))
    # After `high`, b was served longer ago than a: never.
    assert taken(database, 6) == expected
    assert found[high].position == 1
    assert sorted(place.position for place in found.values()) == [1, 2, 3, 4, 5, 6]


def test_the_project_that_was_served_longest_ago_is_next(
    database: Database, projects: tuple[str, str]
) -> None:
    a, b = projects
    first = queue_up(database, a)
    assert taken(database, 1) == [first]
    a2, a3 = queue_up(database, a), queue_up(database, a)
    b1, b2 = queue_up(database, b), queue_up(database, b)
    assert taken(database, 4) == [b1, a2, b2, a3]


def test_of_many_workers_each_gets_another_job(database: Database, projects: tuple[str, str]) -> None:
    ids = {queue_up(database, project) for project in projects for _ in range(2)}
    threads = 6
    barrier = Barrier(threads)

    def race(number: int) -> runs.Claim | None:
        with database.session() as session:
            session.execute(text("SELECT 1"))
            barrier.wait()
            return claim_next(session, worker=f"worker-{number}", lease_seconds=30)

    with ThreadPoolExecutor(threads) as pool:
        won = [held for held in pool.map(race, range(threads)) if held is not None]
    assert sorted(held.job_id for held in won) == sorted(ids)
    assert {held.attempt for held in won} == {1}


def test_a_start_is_estimated_from_what_runs_and_what_has_run(
    database: Database, projects: tuple[str, str]
) -> None:
    next_up, after_it = queue_up(database, projects[0]), queue_up(database, projects[0])
    with database.session() as session:
        found = places(session, {next_up, after_it})
    assert found[next_up].estimated_start is not None  # nothing runs: as soon as a worker looks
    assert found[after_it].estimated_start is None
    with database.session() as session:
        busy = claim_next(session, worker="test", lease_seconds=30)
        assert busy is not None
        append_steps(session, busy.job_id, busy.attempt, [step(5)])
        session.execute(
            text("UPDATE jobs SET total_steps = 10, run_started_at = now() - interval '60 s' WHERE id = :id"),
            {"id": busy.job_id},
        )
    with database.session() as session:
        start = places(session, {after_it})[after_it].estimated_start
        now = session.scalar(text("SELECT extract(epoch FROM now())"))
    assert start is not None
    assert start.timestamp() - float(now or 0) == pytest.approx(60, abs=5)
