"""Trainers forked from a warm process: the same weights as started anew, and nobody left behind."""

from __future__ import annotations

import hashlib
import os
import signal
import time

import psutil
import pytest

from store.tables import Job, State
from tests.factories import read_job
from tests.integration.conftest import DEADLINE_SECONDS, Service, chat_lines, trainers, wait_until_gone

LONG = 5000
NOISE_BYTES = 40_000_000
"""Of a process's resident set, from run to run."""


def nurseries(worker: int) -> list[psutil.Process]:
    """The warm processes of a worker, once there is one."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        children = psutil.Process(worker).children()
        if found := [child for child in children if "worker.nursery" in child.cmdline()]:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def parent_of_trainer(service: Service, job_id: str) -> int:
    service.wait_until_training(job_id)
    (trainer,) = trainers(job_id)
    return trainer.ppid()


def weights(service: Service, job: Job) -> str:
    assert job.state is State.SUCCEEDED, f"{job.error}; {service.log()}"
    (key,) = (
        key for key in service.objects.list(f"models/{job.id}/") if key.endswith("adapter_model.safetensors")
    )
    with service.objects.open(key) as file:
        return hashlib.sha256(file.read()).hexdigest()


def test_they_make_the_weights_of_trainers_started_anew(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [service.submit(chat_lines(), steps=5, learning_rate=0.01) for _ in range(2)]
    with service.process("worker") as worker:
        for job_id in jobs:
            service.send(job_id)
        (nursery,) = nurseries(worker.pid)
        warm = [weights(service, service.wait_until_ended(job_id)) for job_id in jobs]
    assert not nursery.is_running()
    monkeypatch.setenv("ISTHMUS_WARM_TRAINERS", "false")
    cold = service.submit(chat_lines(), steps=5, learning_rate=0.01)
    with service.process("worker"):
        service.send(cold)
        assert {weights(service, service.wait_until_ended(cold))} == set(warm)
    # The pages of libraries, which a fork touches one by one, are not the run's.
    told = [measured_bytes(service, job_id) for job_id in (cold, *jobs)]
    assert max(told) - min(told) < NOISE_BYTES, told


def measured_bytes(service: Service, job_id: str) -> int:
    report = read_job(service.database, job_id).report
    assert report is not None
    measured: int = report["memory"]["measured_bytes"]
    return measured


def test_a_nursery_that_is_killed_costs_an_attempt_and_is_replaced(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=200, learning_rate=0.01)
    with service.process("worker.scheduler"), service.process("worker") as worker:
        nursery = parent_of_trainer(service, job_id)
        service.wait_until_trained(job_id)
        assert [process.pid for process in nurseries(worker.pid)] == [nursery]
        os.kill(nursery, signal.SIGKILL)
        job = service.wait_until_ended(job_id)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 2), service.log()
        assert [process.pid for process in nurseries(worker.pid)] != [nursery]


def test_a_worker_that_is_killed_takes_nursery_and_trainer_with_it(service: Service) -> None:
    job_id = service.submit(chat_lines(), steps=LONG)
    with service.process("worker") as worker:
        service.send(job_id)
        nursery = psutil.Process(parent_of_trainer(service, job_id))
        service.wait_until_trained(job_id)
        worker.kill()
        worker.wait()
        wait_until_gone(job_id)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while nursery.is_running() and nursery.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    service.cancel(job_id)
