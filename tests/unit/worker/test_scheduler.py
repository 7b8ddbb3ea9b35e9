"""The scheduler: lost wake-ups and lost workers."""

from __future__ import annotations

import json
import threading
from base64 import b64decode

import pytest
import redis
from celery import Celery
from sqlalchemy import event

from standalone.ports import free_port
from store import bus, runs
from store.database import Database
from store.objects import LocalObjects
from store.settings import Settings
from store.tables import State
from tests.factories import claimed, make_job, read_job
from worker.app import create_app
from worker.courier import Courier
from worker.scheduler import Scheduler


@pytest.fixture
def app(settings: Settings) -> Celery:
    return create_app(settings)


@pytest.fixture
def objects(settings: Settings) -> LocalObjects:
    return LocalObjects(settings.objects_dir)


def queued_ids(client: redis.Redis, queue: str) -> list[str]:
    """The job ids in the queue's messages, in the order they were sent."""
    messages = client.lrange(queue, 0, -1)
    assert isinstance(messages, list)
    bodies = [json.loads(b64decode(json.loads(message)["body"])) for message in messages]
    return [body[0][0] for body in bodies][::-1]


def test_a_job_without_a_wake_up_is_sent_once(
    database: Database, redis_client: redis.Redis, settings: Settings, app: Celery, objects: LocalObjects
) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    scheduler = Scheduler(settings, database, redis_client, app, objects)
    scheduler.tick()
    scheduler.tick()
    assert queued_ids(redis_client, settings.queue) == [job_id]
    assert read_job(database, job_id).sent_at is not None


def test_a_wake_up_that_redis_lost_is_sent_again(
    database: Database, redis_client: redis.Redis, settings: Settings, app: Celery, objects: LocalObjects
) -> None:
    with database.session() as session:
        job_id = make_job(session).id
    scheduler = Scheduler(settings, database, redis_client, app, objects, resend_seconds=0)
    scheduler.tick()
    scheduler.tick()
    assert queued_ids(redis_client, settings.queue) == [job_id]  # it is still there: no second one
    redis_client.flushall()
    scheduler.tick()
    assert queued_ids(redis_client, settings.queue) == [job_id]


def test_a_round_with_nothing_to_do_is_one_statement(
    database: Database, redis_client: redis.Redis, settings: Settings, app: Celery, objects: LocalObjects
) -> None:
    scheduler = Scheduler(settings, database, redis_client, app, objects)
    scheduler.tick()  # tidies up, too
    claimed(database)
    statements: list[str] = []

    def note(*executed: object) -> None:
        statements.append(str(executed[2]))

    event.listen(database.engine, "before_cursor_execute", note)
    scheduler.tick()
    assert len(statements) == 1
    Courier(settings, database).tick()
    assert len(statements) == 2


def test_a_young_wake_up_is_left_to_the_worker_that_took_it(
    database: Database, redis_client: redis.Redis, settings: Settings, app: Celery, objects: LocalObjects
) -> None:
    with database.session() as session:
        make_job(session)
    scheduler = Scheduler(settings, database, redis_client, app, objects, resend_seconds=60)
    scheduler.tick()
    redis_client.flushall()
    scheduler.tick()
    assert queued_ids(redis_client, settings.queue) == []


def test_an_expired_job_is_requeued_and_sent_and_at_last_failed(
    database: Database, redis_client: redis.Redis, settings: Settings, app: Celery, objects: LocalObjects
) -> None:
    job_id = claimed(database, lease_seconds=0).job_id
    scheduler = Scheduler(settings, database, redis_client, app, objects)
    scheduler.tick()
    assert read_job(database, job_id).state is State.QUEUED
    assert queued_ids(redis_client, settings.queue) == [job_id]
    for _ in range(settings.max_attempts - 1):
        with database.session() as session:
            assert runs.claim(session, job_id, worker="lost", lease_seconds=0) is not None
        scheduler.tick()
    job = read_job(database, job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["code"] == "worker_lost"


def test_lost_workers_are_found_while_redis_is_away(
    database: Database, settings: Settings, objects: LocalObjects
) -> None:
    job_id = claimed(database, lease_seconds=0).job_id
    away = settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{free_port()}/0", "scheduler_seconds": 0.01}
    )
    stop = threading.Event()
    scheduler = Scheduler(away, database, bus.connect(away.redis_url), create_app(away), objects)
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        for _ in range(1000):
            if read_job(database, job_id).state is State.QUEUED:
                break
            stop.wait(0.01)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(timeout=30)
    job = read_job(database, job_id)
    assert (job.state, job.sent_at) == (State.QUEUED, None)
    assert not thread.is_alive()
