"""The ids of a request and its job, from the API's answer into the lines of worker, scheduler and trainer."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from store.log import log_context
from tests.integration.conftest import Service, chat_lines, trainers


def lines(path: Path) -> list[dict[str, Any]]:
    """A log's lines; those that are no JSON are output of libraries, which log nothing of ours."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_every_process_names_the_job_and_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_LOG_FORMAT", "json")
    with service.process("worker"), service.process("worker.scheduler"):
        with log_context(request_id="req_of_the_create"):
            job_id = service.submit(chat_lines(), steps=5000)
        service.wait_until_trained(job_id)
        (trainer,) = trainers(job_id)
        trainer.send_signal(signal.SIGTERM)  # not by its supervisor: it says that it stops, and is missed
        service.wait_until_ended(job_id)
        service.wait_until_clean(job_id)
    ids = ("req_of_the_create", job_id)
    logs = {
        "worker": service.logs / "worker.log",
        "scheduler": service.logs / "worker.scheduler.log",
        "trainer": service.settings.data_dir / "logs" / f"{job_id}-1.log",
    }
    told = {process: lines(path) for process, path in logs.items()}
    assert all({line["process"] for line in told[process]} == {process} for process in told)
    assert [line["message"] for line in told["scheduler"] if line.get("job_id") == job_id] == [
        f"sent {job_id}"
    ]
    assert {(line["request_id"], line["job_id"]) for line in told["trainer"]} == {ids}
    about = [line for line in told["worker"] if job_id in line["message"]]
    assert {(line["request_id"], line["job_id"]) for line in about} == {ids}
    assert any("celery" in line["logger"] for line in told["worker"])
