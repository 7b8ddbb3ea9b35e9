"""Workers that stop or die in the middle of a job."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from store.steps import metric_series
from store.tables import Job, State
from tests.integration.conftest import Service, chat_lines, trainers, wait_until_gone

STEPS = 150


@pytest.fixture(scope="module", autouse=True)
def scheduler(service: Service) -> Iterator[None]:
    with service.process("worker.scheduler"):
        yield


def assert_complete(service: Service, job: Job) -> None:
    assert (job.state, job.error) == (State.SUCCEEDED, None), service.log()
    with service.database.session() as session:
        assert metric_series(session, job.id, keys=[]).steps == list(range(1, STEPS + 1))


def test_a_killed_workers_trainer_dies_and_another_worker_does_the_job(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=STEPS)
    with service.process("worker") as worker:
        service.wait_until_trained(job_id)
        worker.send_signal(signal.SIGKILL)
        wait_until_gone(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert (job.losses, job.worker) == (1, None)
    with service.process("worker"):
        job = service.wait_until_ended(job_id)
    assert job.attempt == 2
    assert_complete(service, job)


def test_a_stopped_worker_gives_its_job_back_and_nothing_is_held_against_it(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=STEPS)
    with service.process("worker") as worker:
        service.wait_until_trained(job_id)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
        assert not trainers(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert job.losses == 0
    with service.process("worker"):
        assert_complete(service, service.wait_until_ended(job_id))
