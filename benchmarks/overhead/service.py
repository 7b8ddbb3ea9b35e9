"""One job in the whole service, as `make up` starts it, from its submit to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.jobs import upload, wait
from ist_core.spec import JobSpec
from standalone.interrupts import Interrupts
from standalone.log import StackLog
from standalone.stack import Stack, running_stack
from store import jobs
from store.database import Database

PORT = 8300
WAIT_SECONDS = 1800.0
POLL_SECONDS = 2.0
REST_SECONDS = 15.0
"""After the start: the service's processes import their libraries in that time."""


@contextmanager
def service(data: Path) -> Iterator[Stack]:
    """The service on a data folder, at rest."""
    interrupts = Interrupts()
    with (
        interrupts.installed(),
        StackLog(data, echo=False) as log,
        running_stack(data, port=PORT, interrupts=interrupts, log=log, env={"ISTHMUS_HUB": "false"}) as stack,
    ):
        time.sleep(REST_SECONDS)
        yield stack


def train(stack: Stack, rows: Path, body: dict[str, Any]) -> tuple[JobSpec, dict[str, Any]]:
    """Upload the rows, submit a job and see it to its end; what it was, and its step records."""
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=60) as client:
        job = {**body, "training_file": upload(client, rows)}
        job_id = client.post("/v1/fine_tuning/jobs", json=job).raise_for_status().json()["id"]
        wait(client, job_id, seconds=WAIT_SECONDS, poll_seconds=POLL_SECONDS, check=stack.watcher.check)
        path, keys = f"/v1/fine_tuning/jobs/{job_id}/metrics", {"keys": "step_seconds,loss"}
        steps: dict[str, Any] = client.get(path, params=keys).raise_for_status().json()
    return _spec(stack, job_id), steps


def _spec(stack: Stack, job_id: str) -> JobSpec:
    database = Database(stack.env["ISTHMUS_DATABASE_URL"])
    try:
        with database.session() as session:
            job = jobs.get_job(session, job_id)
            if job is None:
                raise LookupError(f"job {job_id} has no row")
            return JobSpec.model_validate(job.spec)
    finally:
        database.close()
