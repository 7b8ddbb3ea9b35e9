"""The reporter: order, batches, fence, and a database that comes and goes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import redis

from ist_core.records import Checkpointed, Message, Started, StepRecord
from store import bus, runs
from store.checkpoints import list_checkpoints
from store.database import Database
from store.stream import read_stream
from store.tables import Event
from tests.factories import claim, claimed, read_job, step, tenant
from tests.unit.worker.away import AwayDatabase
from worker import reporter as reporter_module
from worker.delivery import JobLost
from worker.reporter import Reporter
from worker.uploads import Uploaded, Uploads

STARTED = Started(
    total_steps=200, layers=2, examples=3, trainable_parameters=10, total_parameters=1000, device="cpu"
)


class FakeUploads(Uploads):
    """Stores nothing: answers what it is told to, by step."""

    def __init__(self) -> None:
        self.answers: dict[int, Uploaded | Message | None] = {}
        self.priority = 0

    def store(self, item: Checkpointed) -> Uploaded | Message | None:
        self.priority = os.getpriority(os.PRIO_PROCESS, 0)  # of this thread alone, on Linux
        return self.answers.get(item.step, Uploaded(item.step, item.metrics, ()))


@pytest.fixture
def uploads() -> FakeUploads:
    return FakeUploads()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "records.spool"


def numbers(database: Database, job_id: str) -> list[int | str]:
    """Steps by number and events by text, in the stream's order, after the job's own events."""
    with database.session() as session:
        items = read_stream(tenant(session), job_id, 3, limit=1000)
    return [item.row.message if isinstance(item.row, Event) else item.row.step for item in items]


def test_everything_arrives_once_and_in_order(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    reporter.emit(STARTED)
    for number in range(1, 201):
        reporter.emit(step(number))
        if number % 50 == 0:
            reporter.emit(Message(f"at {number}"))
    reporter.close()
    expected: list[int | str] = []
    for number in range(1, 201):
        expected += [number, f"at {number}"] if number % 50 == 0 else [number]
    assert numbers(database, held.job_id)[1:] == expected
    job = read_job(database, held.job_id)
    assert (job.total_steps, job.step) == (200, 200)


def test_a_checkpoint_is_a_row_and_an_event_in_its_place(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    uploads.answers = {2: Message("no room", "warn"), 3: None}
    for item in (step(1), checkpointed(1), step(2), checkpointed(2), step(3), checkpointed(3), Message("on")):
        reporter.emit(item)
    reporter.close()
    assert numbers(database, held.job_id) == [1, "Checkpoint at step 1", 2, "no room", 3, "on"]
    with database.session() as session:
        (made,) = list_checkpoints(tenant(session), held.job_id).rows
        told = [item.row for item in read_stream(tenant(session), held.job_id, 3)]
    assert (made.step, made.attempt, made.metrics, made.resumable) == (1, held.attempt, {"loss": 1.0}, True)
    assert isinstance(told[1], Event)
    assert told[1].data == {"step": 1, "checkpoint": made.id}


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
def test_the_steps_go_before_the_reporter(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    reporter.emit(checkpointed(1))
    reporter.close()
    assert uploads.priority > os.getpriority(os.PRIO_PROCESS, 0), "a greater number goes behind"


def checkpointed(number: int) -> Checkpointed:
    return Checkpointed(number, f"checkpoints/step-{number:06d}", {"loss": 1.0})


def test_few_records_do_not_wait_for_a_full_batch(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    with redis_client.pubsub() as listener:  # type: ignore[no-untyped-call]  # redis-py leaves it so
        listener.subscribe(bus.job_channel(held.job_id))
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
        reporter.emit(step(1))
        ping = listener.get_message(timeout=10)
        assert int(ping["data"]) == read_job(database, held.job_id).last_seq
    assert numbers(database, held.job_id) == [1]
    reporter.close()


def test_a_lost_job_stops_the_run_and_stores_nothing(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    with database.session() as session:
        runs.release(session, held.job_id, held.attempt, message="taken")
    claim(database, held.job_id)
    reporter.emit(step(1))
    assert reporter.lost.wait(timeout=10)
    reporter.emit(step(2))
    with pytest.raises(JobLost):
        reporter.close()
    with database.session() as session:
        rows = [item.row for item in read_stream(tenant(session), held.job_id, 0)]
    assert all(isinstance(row, Event) for row in rows)
    assert read_job(database, held.job_id).step == 0


def test_records_wait_for_a_database_that_is_away(
    database: Database,
    redis_client: redis.Redis,
    uploads: FakeUploads,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter_module, "BACKOFF_SECONDS", (0.01,))
    held = claimed(database)
    flaky = AwayDatabase(database)
    reporter = Reporter(flaky, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    for number in range(1, 101):
        reporter.emit(step(number))
    assert flaky.refused.wait(timeout=10)
    assert not reporter.lost.is_set()
    flaky.back.set()
    reporter.close()
    assert numbers(database, held.job_id) == list(range(1, 101))


def test_a_record_that_cannot_be_stored_is_an_error_not_a_silence(
    database: Database, redis_client: redis.Redis, uploads: FakeUploads, spool: Path
) -> None:
    held = claimed(database)
    reporter = Reporter(database, redis_client, uploads, held.job_id, held.attempt, spool=spool)
    reporter.emit(StepRecord(step=1, time=0.0, metrics={"loss": 1.0}, importance=(), active=()))
    with pytest.raises(KeyError, match="trained_tokens"):
        reporter.close()
    assert reporter.lost.is_set()
