"""Jobs whose runs break off go on from their last checkpoint, as if nothing had been."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from store.checkpoints import all_checkpoints
from store.events import list_events
from store.steps import append_steps
from store.tables import Job, State, StepRecord
from tests.factories import read_job, tenant
from tests.factories import step as step_record
from tests.integration.conftest import Service, chat_lines, trainers, wait_until_gone

STEPS = 600
TIMES = {"ist_seconds", "memory_bytes", "probe_seconds", "step_seconds", "tokens_per_second"}
"""Metrics that no two runs share."""


@pytest.fixture(scope="module", autouse=True)
def scheduler(service: Service) -> Iterator[None]:
    with service.process("worker.scheduler"):
        yield


def submit(service: Service) -> str:
    return service.submit(chat_lines(), steps=STEPS, checkpoint_interval=20, learning_rate=0.01)


def records(service: Service, job_id: str) -> list[dict[str, Any]]:
    """What the steps show, in order, without times."""
    query = select(StepRecord).where(StepRecord.job_id == job_id).order_by(StepRecord.step)
    with service.database.session() as session:
        return [
            {
                "step": row.step,
                "active": row.active,
                "importance": row.importance,
                "probabilities": row.probabilities,
                **{name: value for name, value in row.metrics.items() if name not in TIMES},
            }
            for row in session.scalars(query)
        ]


def weights(service: Service, job: Job) -> str:
    """The hash of the adapter that the job made."""
    (key,) = (
        key for key in service.objects.list(f"models/{job.id}/") if key.endswith("adapter_model.safetensors")
    )
    with service.objects.open(key) as file:
        return hashlib.sha256(file.read()).hexdigest()


def log(service: Service, job_id: str) -> list[str]:
    with service.database.session() as session:
        return [event.message for event in reversed(list_events(tenant(session), job_id, limit=100).rows)]


@pytest.fixture(scope="module")
def undisturbed(service: Service) -> Job:
    job_id = submit(service)
    with service.process("worker"):
        return service.wait_until_ended(job_id)


def wait_until_saved(service: Service, job_id: str, count: int) -> None:
    def saved(_: Job) -> bool:
        with service.database.session() as session:
            return len(all_checkpoints(session, job_id)) >= count

    service.wait(job_id, saved)


def test_a_stopped_and_a_killed_worker_cost_no_step(service: Service, undisturbed: Job) -> None:
    job_id = submit(service)
    with service.process("worker") as worker:
        service.wait_until_trained(job_id, steps=5)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
        assert not trainers(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert (job.attempt, job.losses, job.retrying) == (1, 0, False)
    with service.database.session() as session:
        checkpoint, *older = all_checkpoints(session, job_id)
    assert checkpoint.step == job.step  # the very step that it was stopped after

    with service.process("worker") as worker:
        wait_until_saved(service, job_id, len(older) + 2)
        worker.send_signal(signal.SIGKILL)
        wait_until_gone(job_id)
    job = service.wait(job_id, lambda job: job.state is State.QUEUED)
    assert (job.attempt, job.losses, job.retrying) == (2, 1, True)

    with service.process("worker"):
        job = service.wait_until_ended(job_id)
    assert (job.state, job.error, job.attempt, job.retrying) == (State.SUCCEEDED, None, 3, False), (
        service.log()
    )
    assert [record["step"] for record in records(service, job_id)] == list(range(1, STEPS + 1))
    assert records(service, job_id) == records(service, undisturbed.id)
    assert weights(service, job) == weights(service, undisturbed)
    told = log(service, job_id)
    assert f"Resumed after step {checkpoint.step}" in told
    assert len([line for line in told if line.startswith("Resumed after")]) == 2


def test_damaged_checkpoints_lead_back_to_the_start(service: Service, undisturbed: Job) -> None:
    job_id = submit(service)
    with service.process("worker") as worker:
        wait_until_saved(service, job_id, 3)
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=30)
    service.wait(job_id, lambda job: job.state is State.QUEUED)
    for key in list(service.objects.list(f"checkpoints/{job_id}/")):
        if key.endswith("state.safetensors"):
            os.truncate(service.objects.folder / key, 100)
    with service.process("worker"):
        job = service.wait_until_ended(job_id)
    assert job.state is State.SUCCEEDED, service.log()
    told = log(service, job_id)
    assert len([line for line in told if line.startswith("Passed over the checkpoint of step")]) == 2
    assert not [line for line in told if line.startswith("Resumed after")]
    assert records(service, job_id) == records(service, undisturbed.id)
    assert weights(service, job) == weights(service, undisturbed)


def test_a_later_attempt_keeps_the_first_record_of_a_step(service: Service) -> None:
    job_id = submit(service)
    with service.process("worker") as worker:
        service.wait_until_trained(job_id, steps=1)
        worker.send_signal(signal.SIGSTOP)  # as if it hung
        for trainer in trainers(job_id):
            trainer.suspend()
        attempt = read_job(service.database, job_id).attempt
        service.wait(job_id, lambda job: job.state is State.QUEUED)
        with service.database.session() as session:
            assert not append_steps(session, job_id, attempt, [step_record(1000)])
        for trainer in trainers(job_id):
            trainer.resume()
        worker.send_signal(signal.SIGCONT)
        job = service.wait_until_ended(job_id)
    assert (job.state, job.attempt, job.losses) == (State.SUCCEEDED, 2, 1), service.log()
    assert [record["step"] for record in records(service, job_id)] == list(range(1, STEPS + 1))
