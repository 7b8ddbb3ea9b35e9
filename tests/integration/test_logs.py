"""The ids of a request and its job, from the API's answer into the lines of worker, scheduler and trainer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from store.log import log_context
from tests.factories import claim
from tests.integration.conftest import Service, chat_lines
from worker.scratch import Scratch
from worker.warm_trainers import cold_trainer


def lines(path: Path) -> list[dict[str, Any]]:
    """A log's lines; those that are no JSON are output of libraries, which log nothing of ours."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_worker_and_scheduler_name_the_job_and_the_request_and_tell_the_trainer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG_FORMAT", "json")
    with service.process("worker"), service.process("worker.scheduler"):
        with log_context(request_id="req_of_the_create"):
            job_id = service.submit(chat_lines(), steps=5000)
        service.wait_until_trained(job_id)
        (told,) = [
            line
            for line in lines(Scratch(service.settings.data_dir, job_id, 1).log)
            if line["message"].startswith(f"attempt 1 of {job_id}")
        ]
        service.cancel(job_id)
        service.wait_until_ended(job_id)
        service.wait_until_clean(job_id)
    ids = ("req_of_the_create", job_id)
    assert (told["process"], told["request_id"], told["job_id"]) == ("trainer", *ids)
    worker, scheduler = lines(service.logs / "worker.log"), lines(service.logs / "worker.scheduler.log")
    assert {line["process"] for line in worker} == {"worker"}
    assert {line["process"] for line in scheduler} == {"scheduler"}
    assert f"sent {job_id}" in [line["message"] for line in scheduler if line.get("job_id") == job_id]
    about = [line for line in worker if job_id in line["message"] and "celery" not in line["logger"]]
    assert {line["job_id"] for line in about} == {job_id}
    assert {line["request_id"] for line in about if line["logger"] == "worker.attempt"} == {ids[0]}
    assert any("celery" in line["logger"] for line in worker)


def test_the_trainers_lines_have_the_ids_of_its_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("database_url", "redis_url", "data_dir"):
        monkeypatch.setenv(f"ISTHMUS_{name.upper()}", str(getattr(service.settings, name)))
    monkeypatch.setenv("ISTHMUS_LOG_FORMAT", "json")
    job_id = service.submit(b"no data")
    attempt = claim(service.database, job_id).attempt
    Scratch(service.settings.data_dir, job_id, attempt).make()
    with log_context(request_id="req_1", job_id=job_id):
        trainer = cold_trainer(job_id, attempt, tmp_path / "trainer.log")
    while trainer.exit_code() is None:
        time.sleep(0.05)
    trainer.kill()
    told = lines(tmp_path / "trainer.log")
    assert any("the job fails with invalid_dataset" in line["message"] for line in told)
    assert {(line["process"], line["request_id"], line["job_id"]) for line in told} == {
        ("trainer", "req_1", job_id)
    }
