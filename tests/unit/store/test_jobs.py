"""Jobs: creation, lists, cancel, claim, lease and end."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select, text

from ist_core.records import Message, Started
from store import jobs, losses, runs
from store.database import Database
from store.events import append_events, list_events
from store.job_list import JobFilter, list_jobs
from store.paging import UnknownCursor
from store.tables import Event, State
from tests.factories import claim, claimed, make_job, read_job, tenant

STARTED = Started(
    total_steps=7, layers=2, examples=3, trainable_parameters=10, total_parameters=1000, device="cpu"
)


def messages(database: Database, job_id: str) -> list[str]:
    with database.session() as session:
        return [event.message for event in reversed(list_events(tenant(session), job_id).rows)]


def test_a_new_job_is_queued_with_two_events_and_no_wake_up(database: Database) -> None:
    with database.session() as session:
        job = make_job(session, metadata={"team": "a"})
    stored = read_job(database, job.id)
    assert (stored.state, stored.attempt, stored.sent_at) == (State.QUEUED, 0, None)
    assert stored.user_metadata == {"team": "a"}
    assert stored.spec["learning_rate"] == pytest.approx(1e-3)
    assert messages(database, job.id) == [
        f"Created fine-tuning job: {job.id}",
        "Files validated, moving job to queued state",
    ]


def test_pages_go_from_newest_to_oldest_without_gap_or_repeat(database: Database) -> None:
    made = []
    for _ in range(5):
        with database.session() as session:
            made.append(make_job(session).id)
    seen: list[str] = []
    after = None
    with database.session() as session:
        for more in (True, True, False):
            page = list_jobs(tenant(session), after=after, limit=2)
            assert page.has_more is more
            seen += [job.id for job in page.rows]
            after = seen[-1]
    assert seen == made[::-1]


def test_pages_split_jobs_of_one_moment_by_id(database: Database) -> None:
    with database.session() as session:  # one transaction: one created_at
        made = sorted((make_job(session).id for _ in range(3)), reverse=True)
        first = list_jobs(tenant(session), limit=2)
        rest = list_jobs(tenant(session), limit=2, after=first.rows[-1].id)
    assert [job.id for job in [*first.rows, *rest.rows]] == made


def test_lists_filter_by_all_metadata_pairs(database: Database) -> None:
    with database.session() as session:
        both = make_job(session, metadata={"team": "a", "run": "1"}).id
        make_job(session, metadata={"team": "a", "run": "2"})
        make_job(session)
        found = list_jobs(tenant(session), only=JobFilter(metadata={"team": "a", "run": "1"})).rows
    assert [job.id for job in found] == [both]


def test_an_unknown_cursor_is_named(database: Database) -> None:
    with database.session() as session, pytest.raises(UnknownCursor, match="ftjob-none"):
        list_jobs(tenant(session), after="ftjob-none")


def test_of_many_workers_exactly_one_claims_a_job(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    threads = 5
    barrier = Barrier(threads)

    def race(number: int) -> runs.Claim | None:
        with database.session() as session:
            session.execute(text("SELECT 1"))  # every worker is connected before one begins
            barrier.wait()
            return runs.claim(session, job_id, worker=f"worker-{number}", lease_seconds=30)

    with ThreadPoolExecutor(threads) as pool:
        won = [result for result in pool.map(race, range(threads)) if result is not None]
    assert [held.attempt for held in won] == [1]
    job = read_job(database, job_id)
    assert (job.state, job.attempt) == (State.RUNNING, 1)
    assert job.started_at is not None


def test_a_cancelled_queued_job_ends_at_once_and_cannot_be_claimed(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
        cancelled = jobs.request_cancel(tenant(session), job_id)
    assert cancelled is not None
    assert cancelled.state is State.CANCELLED
    with database.session() as session:
        assert runs.claim(session, job_id, worker="late", lease_seconds=30) is None
        with pytest.raises(jobs.JobEnded, match="already ended: cancelled"):
            jobs.request_cancel(tenant(session), job_id)


def test_a_running_job_is_asked_once_to_cancel(database: Database) -> None:
    held = claimed(database)
    for _ in range(2):
        with database.session() as session:
            job = jobs.request_cancel(tenant(session), held.job_id)
            assert job is not None
            assert (job.state, job.cancel_requested) == (State.RUNNING, True)
    assert messages(database, held.job_id).count("Cancel requested") == 1
    with database.session() as session:
        control = runs.heartbeat(session, held.job_id, held.attempt, lease_seconds=30)
    assert control == runs.Control(cancel_requested=True, pause_requested=False)


def test_cancel_of_no_job_is_none(database: Database) -> None:
    with database.session() as session:
        assert jobs.request_cancel(tenant(session), "ftjob-none") is None


def test_a_heartbeat_moves_the_lease_and_is_fenced(database: Database) -> None:
    held = claimed(database, lease_seconds=1)
    before = read_job(database, held.job_id).lease_expires_at
    with database.session() as session:
        assert runs.heartbeat(session, held.job_id, held.attempt + 1, lease_seconds=60) is None
        assert runs.heartbeat(session, held.job_id, held.attempt, lease_seconds=60) is not None
    after = read_job(database, held.job_id).lease_expires_at
    assert before is not None
    assert after is not None
    assert after > before


def test_a_released_job_is_queued_unsent_and_its_next_attempt_is_higher(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        jobs.mark_sent(session, held.job_id)
        assert runs.release(session, held.job_id, held.attempt, message="Worker stopped") is not None
        assert jobs.unsent_jobs(session) == [held.job_id]
    job = read_job(database, held.job_id)
    assert (job.state, job.worker, job.lease_expires_at, job.losses) == (State.QUEUED, None, None, 0)
    assert claim(database, held.job_id).attempt == held.attempt + 1


def test_a_released_job_whose_cancel_was_requested_is_cancelled(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        jobs.request_cancel(tenant(session), held.job_id)
        runs.release(session, held.job_id, held.attempt, message="Worker stopped")
    assert read_job(database, held.job_id).state is State.CANCELLED


def test_lost_workers_are_forgiven_until_the_last(database: Database) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    states = []
    for _ in range(3):
        claim(database, job_id, lease_seconds=0)
        with database.session() as session:
            (expired,) = runs.expired_jobs(session)
            losses.take_back(session, expired, max_losses=3)
        states.append(read_job(database, job_id).state)
    assert states == [State.QUEUED, State.QUEUED, State.FAILED]
    job = read_job(database, job_id)
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
    assert job.finished_at is not None


def test_a_lost_job_whose_cancel_was_requested_is_cancelled(database: Database) -> None:
    held = claimed(database, lease_seconds=0)
    with database.session() as session:
        jobs.request_cancel(tenant(session), held.job_id)
        (expired,) = runs.expired_jobs(session)
        losses.take_back(session, expired, max_losses=3)
    assert read_job(database, held.job_id).state is State.CANCELLED


def test_a_valid_lease_is_not_expired(database: Database) -> None:
    claimed(database, lease_seconds=60)
    with database.session() as session:
        assert runs.expired_jobs(session) == []


def test_only_old_wake_ups_are_missing(database: Database) -> None:
    with database.session() as session:
        sent, unsent = make_job(session).id, make_job(session).id
        jobs.mark_sent(session, sent)
    with database.session() as session:
        assert jobs.unsent_jobs(session) == [unsent]
        assert jobs.unsent_jobs(session, sent_before_seconds=60) == [unsent]
        assert set(jobs.unsent_jobs(session, sent_before_seconds=-1)) == {sent, unsent}
        jobs.mark_unsent(session, sent)
        assert set(jobs.unsent_jobs(session)) == {sent, unsent}


def test_the_start_of_training_is_stored_and_logged(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        assert runs.record_start(session, held.job_id, held.attempt, STARTED)
        assert not runs.record_start(session, held.job_id, held.attempt + 1, STARTED)
        newest = list_events(tenant(session), held.job_id, limit=1).rows[0]
    job = read_job(database, held.job_id)
    assert (job.total_steps, job.layers) == (7, 2)
    assert newest.data["trainable_parameters"] == 10


def test_success_writes_the_result_and_two_events(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        job = runs.finish_succeeded(
            session,
            held.job_id,
            held.attempt,
            fine_tuned_model="ft:tiny:isthmus::abc",
            result_files=["file-1"],
            report={"final_loss": 0.5},
            trained_tokens=70,
        )
    assert job is not None
    stored = read_job(database, held.job_id)
    assert (stored.state, stored.fine_tuned_model) == (State.SUCCEEDED, "ft:tiny:isthmus::abc")
    assert (stored.result_files, stored.trained_tokens) == (["file-1"], 70)
    assert messages(database, held.job_id)[-2:] == [
        "New fine-tuned model created: ft:tiny:isthmus::abc",
        "The job has successfully completed",
    ]


def test_failure_is_data_that_any_message_fits(database: Database) -> None:
    held = claimed(database)
    with database.session() as session:
        runs.finish_failed(
            session,
            held.job_id,
            held.attempt,
            code="invalid_dataset",
            message="line 3: \0",
            param="training_file",
        )
    assert read_job(database, held.job_id).error == {
        "code": "invalid_dataset",
        "message": "line 3: \ufffd",
        "param": "training_file",
    }


def test_event_numbers_of_concurrent_writers_have_no_gap(database: Database) -> None:
    held = claimed(database)
    first = read_job(database, held.job_id).last_seq

    def write(number: int) -> None:
        for _ in range(5):
            with database.session() as session:
                attempt = held.attempt if number % 2 else None
                assert append_events(session, held.job_id, attempt, [Message("a"), Message("b")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with database.session() as session:
        seqs = session.scalars(select(Event.seq).where(Event.job_id == held.job_id, Event.seq > first))
        assert sorted(seqs) == list(range(first + 1, first + 41))
        assert session.scalar(select(func.count(func.distinct(Event.id))).where(Event.seq > first)) == 40
