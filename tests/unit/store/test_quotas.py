"""Quotas: counted as things are, and the last place is given once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from store import losses, runs
from store.database import Database
from store.files import receive_file
from store.objects import ObjectInfo
from store.projects import DEFAULT_PROJECT, create_project, get_project
from store.quotas import Limits, QuotaExceeded, check_bytes, quota_of, set_limits, take_bytes, take_job
from store.tables import Job
from store.tenant import Tenant
from store.tuned_models import create_tuned_model
from tests.factories import claim, claimed, make_file, make_job, read_job, tenant

FILE_BYTES = 10
"""What the factories' files have."""


def limit(database: Database, **limits: int) -> None:
    with database.session() as session:
        project = get_project(session, DEFAULT_PROJECT)
        assert project is not None
        set_limits(session, project, Limits(**limits))


def write(database: Database, job_id: str, **values: Any) -> None:
    with database.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def minutes(database: Database) -> float:
    with database.session() as session:
        return quota_of(tenant(session))[1].minutes


def test_use_is_what_is_there(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        make_job(session)
        make_file(session)
        job = read_job(database, held.job_id)
        artifacts = [ObjectInfo("m/a", 300, "0"), ObjectInfo("m/b", 7, "0")]
        create_tuned_model(session, model_id="ft:a", job=job, prefix="m/", artifacts=artifacts)
        make_job(session, project_id=create_project(session, name="other").id)
    with database.session() as session:
        limits, usage = quota_of(tenant(session))
    assert limits == Limits()
    assert (usage.jobs, usage.bytes) == (2, 3 * FILE_BYTES + 307)
    with database.session() as session:
        runs.finish_cancelled(session, held.job_id, held.attempt)
        assert quota_of(tenant(session))[1].jobs == 1


@pytest.mark.parametrize(
    ("limits", "allowed"), [({"max_bytes": 30}, True), ({"max_bytes": 29}, False), ({}, True)]
)
def test_a_file_fits_or_does_not(database: Database, limits: dict[str, int], allowed: bool) -> None:
    with database.session() as session:
        make_file(session)
    limit(database, **limits)
    for ask in (take_bytes, check_bytes):
        with database.session() as session:
            if allowed:
                ask(tenant(session), 20)
            else:
                with pytest.raises(QuotaExceeded, match="stores 10 bytes and may store 29, so 20 more"):
                    ask(tenant(session), 20)


def test_runs_are_added_up(database: Database) -> None:
    held = claimed(database, lease_seconds=3600)
    now = datetime.now(UTC)
    write(database, held.job_id, run_started_at=now - timedelta(minutes=3))
    assert 3 <= minutes(database) < 3.5
    with database.session() as session:
        runs.release(session, held.job_id, held.attempt, message="stopped")
    job = read_job(database, held.job_id)
    assert job.run_started_at is None
    assert 180 <= job.run_seconds < 200
    again = claim(database, held.job_id, lease_seconds=3600)
    write(database, held.job_id, run_started_at=now - timedelta(minutes=2))
    with database.session() as session:
        runs.finish_cancelled(session, held.job_id, again.attempt)
    assert 300 <= read_job(database, held.job_id).run_seconds < 330
    assert 5 <= minutes(database) < 5.5


def test_a_lost_worker_is_charged_to_the_end_of_its_lease(database: Database) -> None:
    held = claimed(database)
    now = datetime.now(UTC)
    write(
        database,
        held.job_id,
        run_started_at=now - timedelta(minutes=9),
        lease_expires_at=now - timedelta(minutes=7),
    )
    assert minutes(database) == pytest.approx(2)
    with database.session() as session:
        (lost,) = runs.expired_jobs(session)
        losses.take_back(session, lost, max_losses=3)
    assert minutes(database) == pytest.approx(2)


def test_last_months_minutes_are_forgotten(database: Database) -> None:
    held = claimed(database)
    write(database, held.job_id, run_seconds=600, started_at=datetime.now(UTC) - timedelta(days=32))
    assert minutes(database) == 0
    write(database, held.job_id, started_at=datetime.now(UTC))
    assert minutes(database) >= 10
    limit(database, max_minutes=10)
    with database.session() as session, pytest.raises(QuotaExceeded, match="trained for 10.0 minutes"):
        take_job(tenant(session))
    limit(database, max_minutes=11)
    with database.session() as session:
        take_job(tenant(session))


@pytest.mark.parametrize("resource", ["jobs", "bytes"])
def test_the_second_waits_for_the_first_and_then_finds_no_place(database: Database, resource: str) -> None:
    limit(database, **{f"max_{resource}": 1 if resource == "jobs" else 2 * FILE_BYTES})

    def take(session: Session) -> None:
        if resource == "jobs":
            make_job(session)
        else:
            stored = ObjectInfo("files/x", 2 * FILE_BYTES, "0")
            receive_file(tenant(session), file_id="file-x", filename="x", purpose="fine-tune", stored=stored)

    def second() -> None:
        with database.session() as session:
            take(session)

    with ThreadPoolExecutor(1) as pool:
        with database.session() as session:
            take(session)
            waiting: Future[None] = pool.submit(second)
            wait_for_a_lock(database)
            assert not waiting.done()
        with pytest.raises(QuotaExceeded):
            waiting.result(timeout=30)


def test_workers_and_other_projects_do_not_wait(database: Database) -> None:
    limit(database, max_jobs=5, max_bytes=1000)
    held = claimed(database)
    with database.session() as session:
        other = create_project(session, name="other")
        set_limits(session, other, Limits(max_jobs=5))
    done = threading.Event()

    def work() -> None:
        with database.session() as session:
            make_file(session)
            assert runs.finish_cancelled(session, held.job_id, held.attempt)
            take_job(Tenant(session, other.id))
        done.set()

    with database.session() as session:
        take_job(tenant(session))
        take_bytes(tenant(session), 1)
        thread = threading.Thread(target=work)
        thread.start()
        assert done.wait(20)
    thread.join()


def wait_for_a_lock(database: Database) -> None:
    """Wait until a session waits for a row that another has locked."""
    deadline = time.monotonic() + 20
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        with database.engine.connect() as connection:
            if connection.scalar(query):
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)
