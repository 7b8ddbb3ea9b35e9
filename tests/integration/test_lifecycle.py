"""Pause, resume, cancel, time limits and killed trainers, with a real worker."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from store import bus
from store.checkpoints import all_checkpoints
from store.pauses import request_pause, request_resume
from store.steps import metric_series
from store.tables import State
from tests.factories import read_job, tenant
from tests.integration.conftest import Service, chat_lines, trainers

LONG = 50_000


@pytest.fixture(scope="module", autouse=True)
def processes(service: Service) -> Iterator[None]:
    with service.process("worker"), service.process("worker.scheduler"):
        yield


def pause(service: Service, job_id: str) -> None:
    with service.database.session() as session:
        request_pause(tenant(session), job_id)
    bus.publish_pause(service.redis, job_id)


def resume(service: Service, job_id: str) -> None:
    with service.database.session() as session:
        request_resume(tenant(session), job_id)


def newest(service: Service, job_id: str) -> int:
    with service.database.session() as session:
        return all_checkpoints(session, job_id)[0].step


def test_a_paused_job_frees_its_worker_and_goes_on_where_it_was(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=LONG)
    service.wait_until_trained(job_id)
    pause(service, job_id)
    job = service.wait(job_id, lambda job: job.state is State.PAUSED)
    assert newest(service, job_id) == job.step
    assert not trainers(job_id)
    other = service.wait_until_ended(service.submit(chat_lines(), steps=2))
    assert other.state is State.SUCCEEDED, service.log()

    resume(service, job_id)
    at = job.step
    service.wait(job_id, lambda job: job.step > at)
    began = time.monotonic()
    pause(service, job_id)
    service.cancel(job_id)  # in the middle of the pause
    job = service.wait_until_ended(job_id)
    assert (job.state, job.attempt, job.losses) == (State.CANCELLED, 2, 0)
    assert time.monotonic() - began < 20
    assert not trainers(job_id)
    with service.database.session() as session:
        steps = metric_series(tenant(session), job_id, keys=[], limit=10_000).steps
    assert steps == list(range(1, len(steps) + 1))


def test_a_killed_trainer_is_no_fault_of_the_job_until_it_happens_too_often(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=LONG)
    for attempt in range(1, service.settings.max_attempts + 1):
        _kill(service, job_id, attempt)
    job = service.wait_until_ended(job_id)
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error["code"] == "trainer_killed"


def _kill(service: Service, job_id: str, attempt: int) -> None:
    service.wait(job_id, lambda job: job.attempt == attempt)
    service.wait_until_training(job_id)
    (trainer,) = trainers(job_id)
    trainer.send_signal(signal.SIGKILL)
    service.wait(job_id, lambda job: job.losses == attempt)


def test_a_time_limit_ends_a_job_after_a_checkpoint(service: Service) -> None:
    job = service.wait_until_ended(
        service.submit(chat_lines(), steps=LONG, checkpoint_interval=LONG, time_limit_minutes=0.25)
    )
    assert job.state is State.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("time_limit", "time_limit_minutes")
    if job.step:
        assert newest(service, job.id) == job.step
        assert f"step {job.step}" in job.error["message"]


def test_a_message_that_comes_twice_does_nothing_and_one_wakes_for_all(service: Service) -> None:
    first, second = (service.submit(chat_lines(), steps=2) for _ in range(2))
    for _ in range(2):
        service.send(second)
    for job_id in (first, second):
        assert service.wait_until_ended(job_id).state is State.SUCCEEDED
    for _ in range(2):
        service.send(second)
    assert service.wait_until_ended(service.submit(chat_lines(), steps=2)).state is State.SUCCEEDED
    assert read_job(service.database, second).attempt == 1
