"""Among many jobs no question reads a table whole: what PostgreSQL does is looked at, not for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from api.job_view import view_jobs
from store import checkpoints, events, files, gauges, jobs, quotas, runs
from store.database import Database
from store.job_list import JobFilter, list_jobs
from store.model_sources import find_source
from store.projects import DEFAULT_PROJECT
from store.queue import PLACES, TRIED, claim_next, places
from store.tables import Job, State
from store.tables.base import PreciseState
from store.tenant import Tenant
from tests.conftest import fresh_database
from tests.crowd import Plan, fill, plans

MANY = 30_000
QUEUED = 3_000
PRIORITIES = 3
RUNNING = 8
STEPS = 3_000
LIMIT = 20

Ask = Callable[[Session], Any]


@pytest.fixture(scope="module")
def crowded(postgres_url: str, migrated_template: str) -> Iterator[Database]:
    """Many jobs that have ended, a long queue, a few that run."""
    with fresh_database(postgres_url, migrated_template) as url:
        database = Database(url)
        fill(database, jobs=MANY, running=RUNNING, queued=QUEUED, events=True, steps=STEPS)
        yield database
        database.close()


def read(database: Database, ask: Ask) -> list[Plan]:
    """How the question is answered; what it changes is undone."""
    with plans(database) as found, database.engine.connect() as connection:
        ask(Session(connection))
        connection.rollback()
    assert found
    assert [table for plan in found for table in plan.scanned if table != "projects"] == []
    return found


def rows(found: list[Plan]) -> int:
    return sum(plan.rows_read for plan in found)


def owner(session: Session) -> Tenant:
    return Tenant(session, DEFAULT_PROJECT)


def middle(database: Database) -> str:
    """A job that has as many before it as after."""
    with database.session() as session:
        return session.scalars(select(Job.id).order_by(Job.created_at).offset(MANY // 2).limit(1)).one()


FILTERS = {
    "all": JobFilter(),
    "one state": JobFilter(states=["failed"]),
    "a state that none has": JobFilter(states=["paused"]),
    "several states": JobFilter(states=["paused", "failed", "running", "retrying"]),
    "a model": JobFilter(model="tiny"),
    "no such model": JobFilter(model="none"),
    "a model in states": JobFilter(model="tiny", states=["failed", "cancelled"]),
    "a model in a state that none has": JobFilter(model="tiny", states=["paused"]),
    "rare metadata": JobFilter(metadata={"team": "rare"}),
    "two pairs": JobFilter(metadata={"team": "tenth", "run": "1000"}),
    "metadata that none has": JobFilter(metadata={"team": "nobody"}),
    "rare metadata in a state": JobFilter(metadata={"team": "rare"}, states=["failed", "succeeded"]),
    "a rare name": JobFilter(search="Needle"),
    "a name that none has": JobFilter(search="nobody"),
    "a name that all have": JobFilter(search="ftjob"),
}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_page_reads_about_as_many_rows_as_it_shows(crowded: Database, name: str, order: Any) -> None:
    only, after = FILTERS[name], middle(crowded)
    first = read(crowded, lambda session: list_jobs(owner(session), limit=LIMIT, order=order, only=only))
    later = read(
        crowded, lambda session: list_jobs(owner(session), after=after, limit=LIMIT, order=order, only=only)
    )
    # Of each state a page's ids, then the page's rows; and the cursor's row.
    most = (max(1, len(only.states)) + 1) * (LIMIT + 1) + 1
    assert rows(first) <= most
    assert rows(later) <= most


@pytest.mark.parametrize("only", [JobFilter(metadata={"team": "tenth"}), JobFilter(search="360M")])
def test_what_many_match_is_found_on_the_way_through_the_list(crowded: Database, only: JobFilter) -> None:
    after = middle(crowded)
    found = read(crowded, lambda session: list_jobs(owner(session), after=after, limit=LIMIT, only=only))
    assert rows(found) < MANY / 50


def test_a_job_is_read_by_its_key(crowded: Database) -> None:
    job_id = middle(crowded)
    found = read(crowded, lambda session: view_jobs(session, [jobs.find_job(owner(session), job_id)]))  # type: ignore[list-item]
    assert rows(found) == 1
    (log,) = read(crowded, lambda session: events.list_events(owner(session), job_id))
    assert log.rows_read <= LIMIT


def test_places_are_told_without_reading_the_queue(crowded: Database) -> None:
    with crowded.session() as session:
        page = list_jobs(owner(session), limit=100, order="asc", only=JobFilter(states=["queued"])).rows
        ids = [job.id for job in page]
        found = places(session, ids)
        line = session.scalar(text("SELECT count(*) FROM jobs WHERE state = 'queued'"))
    told = read(crowded, lambda session: view_jobs(session, page))
    assert rows(told) <= PLACES * PRIORITIES + 100
    assert line > PLACES * PRIORITIES + 100, "the queue is long enough to tell"
    # Those of the highest priority come first; the rest stands behind the places that are told.
    assert len(found) == sum(job.priority == 2 for job in page)
    assert sorted(place.position for place in found.values()) == list(range(1, len(found) + 1))


def test_a_worker_takes_the_next_job_without_reading_the_queue(crowded: Database) -> None:
    found = read(crowded, lambda session: claim_next(session, worker="w", lease_seconds=5))
    assert rows(found) <= TRIED * PRIORITIES + 20


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        (lambda session: jobs.unsent_jobs(session), 2),
        (lambda session: jobs.unsent_jobs(session, sent_before_seconds=-60), 100),
        (lambda session: runs.expired_jobs(session, patience_seconds=20), RUNNING),
        (lambda session: checkpoints.jobs_to_trim(session), 1),
        (lambda session: files.expire_files(session), 1),
        (lambda session: session.execute(files._uses(["file-none"])).all(), QUEUED + RUNNING + 1),
        (lambda session: gauges.running_jobs(session, None), 2 * RUNNING),
        (lambda session: gauges.live_jobs(session, None), QUEUED + RUNNING + 1),
    ],
    ids=["unsent", "resend", "expired", "trim", "expire", "uses of a file", "running", "live"],
)
def test_the_scheduler_and_a_scrape_read_what_lives(crowded: Database, ask: Ask, most: int) -> None:
    assert rows(read(crowded, ask)) <= most


def test_what_has_ended_is_counted_in_indexes_alone(crowded: Database) -> None:
    (ended,) = read(crowded, lambda session: gauges.ended_jobs(session, None))
    assert ended.fetched_by_index_only
    used = read(crowded, lambda session: quotas.quota_of(owner(session)))
    of_jobs = [plan for plan in used if plan.indexes & {"ix_jobs_listed_by_state", "ix_jobs_started"}]
    assert len(of_jobs) == 2
    assert all(plan.fetched_by_index_only for plan in of_jobs)


SET_STATE = text(
    "UPDATE jobs SET state = CAST(:state AS job_state), "
    "cancel_requested = :cancel, pause_requested = :pause, retrying = :again"
)


def test_the_precise_state_is_the_state_with_what_is_asked(database: Database) -> None:
    asked = {
        "cancelling": ("running", True, True, False),
        "pausing": ("running", False, True, True),
        "retrying": ("queued", False, False, True),
        "queued": ("queued", True, True, False),
        **{state.value: (state.value, False, False, False) for state in State if state is not State.QUEUED},
    }
    assert set(asked) == set(get_args(PreciseState))
    fill(database, jobs=2, running=0)
    with database.session() as session:
        for expected, row in asked.items():
            session.execute(SET_STATE, dict(zip(("state", "cancel", "pause", "again"), row, strict=True)))
            assert set(session.scalars(text("SELECT precise_state FROM jobs"))) == {expected}


def test_a_checkpoints_name_is_found_by_the_end_of_its_jobs_id(crowded: Database) -> None:
    name = f"ft:tiny:isthmus::{middle(crowded)[-8:].lower()}:ckpt-step-1"
    found = read(crowded, lambda session: find_source(owner(session), name))
    assert "ix_jobs_short_id" in set().union(*(plan.indexes for plan in found))
    assert rows(found) <= 10
