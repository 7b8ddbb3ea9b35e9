"""Workers that stop or die in the middle of a job."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from store.steps import metric_series
from store.tables import State
from tests.factories import tenant
from tests.integration.conftest import Service, chat_lines, trainers, wait_until_gone

STEPS = 150


@pytest.fixture(scope="module", autouse=True)
def scheduler(service: Service) -> Iterator[None]:
    with service.process("worker.scheduler"):
        yield


def test_a_job_survives_a_stopped_and_a_killed_worker(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=STEPS)

    with service.process("worker") as worker:
        service.wait_until_trained(job_id)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
        assert not trainers(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert (job.attempt, job.losses) == (1, 0)  # given back in order: nothing is held against it

    with service.process("worker") as worker:
        service.wait_until_training(job_id)
        worker.send_signal(signal.SIGKILL)
        wait_until_gone(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert (job.attempt, job.losses, job.worker) == (2, 1, None)

    with service.process("worker"):
        job = service.wait_until_ended(job_id)
    assert (job.state, job.error, job.attempt) == (State.SUCCEEDED, None, 3), service.log()
    with service.database.session() as session:
        assert metric_series(tenant(session), job.id, keys=[]).steps == list(range(1, STEPS + 1))
