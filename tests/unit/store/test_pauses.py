"""Pause, resume, and runs that break off."""

from __future__ import annotations

import pytest

from ist_core.spec import JobSpec
from store import jobs, losses, runs
from store.database import Database
from store.pauses import JobCancelling, request_pause, request_resume
from store.queue import claim_next
from store.tables import Job, State
from tests.factories import claim, claimed, make_file, make_job, read_job, tenant


def pause(database: Database, job_id: str) -> Job | None:
    with database.session() as session:
        return request_pause(tenant(session), job_id)


def resume(database: Database, job_id: str) -> Job | None:
    with database.session() as session:
        return request_resume(tenant(session), job_id)


def test_a_queued_job_is_paused_at_once_and_not_to_be_had(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    for _ in range(2):
        paused = pause(database, job_id)
        assert paused is not None
        assert paused.state is State.PAUSED
    with database.session() as session:
        assert claim_next(session, worker="test", lease_seconds=30) is None
        assert jobs.unsent_jobs(session) == []
    for _ in range(2):
        queued = resume(database, job_id)
        assert queued is not None
        assert (queued.state, queued.sent_at) == (State.QUEUED, None)
    assert claim(database, job_id).attempt == 1


def test_a_running_job_is_asked_and_paused_by_its_worker(database: Database) -> None:
    held = claimed(database)
    asked = pause(database, held.job_id)
    assert asked is not None
    assert (asked.state, asked.pause_requested) == (State.RUNNING, True)
    with database.session() as session:
        runs.release(session, held.job_id, held.attempt, message="stopped")
    job = read_job(database, held.job_id)
    assert (job.state, job.pause_requested, job.losses) == (State.PAUSED, False, 0)


def test_a_pause_is_withdrawn_while_it_is_under_way(database: Database) -> None:
    held = claimed(database)
    pause(database, held.job_id)
    resume(database, held.job_id)
    with database.session() as session:
        runs.release(session, held.job_id, held.attempt, message="stopped")
    assert read_job(database, held.job_id).state is State.QUEUED


def test_a_lost_worker_of_a_job_to_be_paused_pauses_it(database: Database) -> None:
    held = claimed(database, lease_seconds=0)
    pause(database, held.job_id)
    with database.session() as session:
        (expired,) = runs.expired_jobs(session)
        losses.take_back(session, expired, max_losses=1)
    assert read_job(database, held.job_id).state is State.PAUSED


def test_cancel_wins_over_pause_in_every_state(database: Database) -> None:
    held = claimed(database)
    pause(database, held.job_id)
    with database.session() as session:
        jobs.request_cancel(tenant(session), held.job_id)
        with pytest.raises(JobCancelling):
            request_pause(tenant(session), held.job_id)
        runs.release(session, held.job_id, held.attempt, message="stopped")
    assert read_job(database, held.job_id).state is State.CANCELLED
    with database.session() as session:
        paused = make_job(session).id
    pause(database, paused)
    with database.session() as session:
        cancelled = jobs.request_cancel(tenant(session), paused)
        assert cancelled is not None
        assert cancelled.state is State.CANCELLED
    for ask in (pause, resume):
        with pytest.raises(jobs.JobEnded):
            ask(database, paused)
        assert ask(database, "ftjob-none") is None


def test_a_cancel_does_not_wait_for_the_lease_of_a_worker_that_is_silent(database: Database) -> None:
    held, other = claimed(database, lease_seconds=20), claimed(database, lease_seconds=20)
    with database.session() as session:
        jobs.request_cancel(tenant(session), held.job_id)
        assert runs.expired_jobs(session, patience_seconds=10) == []  # it was heard of just now
        (silent,) = runs.expired_jobs(session, patience_seconds=30)
        assert silent.id == held.job_id != other.job_id
        losses.take_back(session, silent, max_losses=3)
    assert read_job(database, held.job_id).state is State.CANCELLED


def test_killed_trainers_are_forgiven_until_the_last(database: Database) -> None:
    job_id = claimed(database).job_id
    for number in (1, 2):
        with database.session() as session:
            lost = losses.lose_trainer(session, job_id, number, what="It was killed", max_losses=2)
            assert lost is not None
            assert not losses.lose_trainer(session, job_id, number, what="again", max_losses=2)
        if number == 1:
            assert (lost.state, lost.retrying, lost.losses) == (State.QUEUED, True, 1)
            claim(database, job_id)
    job = read_job(database, job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["code"] == "trainer_killed"


def test_out_of_memory_is_tried_again_with_half_the_micro_batch_where_wanted(database: Database) -> None:
    with database.session() as session:
        spec = JobSpec(
            model="tiny", training_file=make_file(session).id, batch_size=6, on_out_of_memory="retry"
        )
        job_id = jobs.create_job(tenant(session), spec=spec, request={}).id
    sizes = []
    for _ in range(3):
        held = claim(database, job_id)
        with database.session() as session:
            losses.run_out_of_memory(session, job_id, held.attempt, message="no memory", param=None)
        job = read_job(database, job_id)
        sizes.append((job.state, job.spec["micro_batch_size"], job.spec["batch_size"], job.losses))
    assert sizes == [(State.QUEUED, 3, 6, 0), (State.QUEUED, 1, 6, 0), (State.FAILED, 1, 6, 0)]
    assert read_job(database, job_id).error == {
        "code": "out_of_memory",
        "message": "no memory",
        "param": None,
    }


def test_out_of_memory_fails_a_job_that_wants_nothing_else(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        losses.run_out_of_memory(session, held.job_id, held.attempt, message="no memory", param=None)
    assert read_job(database, held.job_id).state is State.FAILED


def test_the_time_that_is_left_counts_all_runs(database: Database) -> None:
    with database.session() as session:
        spec = JobSpec(model="tiny", training_file=make_file(session).id, time_limit_minutes=1)
        job_id = jobs.create_job(tenant(session), spec=spec, request={}).id
        row = session.get(Job, job_id)
        assert row is not None
        row.run_seconds = 45.0
    assert claim(database, job_id).seconds_left == pytest.approx(15)
    assert claimed(database).seconds_left is None
