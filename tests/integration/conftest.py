"""A worker and a scheduler as real processes, on one database for all integration tests of a module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from ist_core.spec import JobSpec
from store import bus, jobs
from store.database import Database
from store.objects import LocalObjects
from store.settings import Settings
from store.tables import Job
from store.workers import list_workers
from tests.conftest import fresh_database
from tests.factories import read_job, tenant, upload
from tests.tiny_model import make_tiny_model
from worker.app import create_app, send

DEADLINE_SECONDS = 120.0


class Service:
    """The parts of the service that train, and what a test needs to use them."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.objects = LocalObjects(settings.objects_dir)
        self.redis = bus.connect(settings.redis_url)
        self._celery = create_app(settings)
        self.logs = logs

    def submit(self, data: bytes, *, model: str = "tiny", steps: int = 3, **options: object) -> str:
        """Create a job as the API does, without sending it: the scheduler notices. Returns its id."""
        file_id = upload(self.database, self.objects, data)
        fields = {
            "model": model,
            "training_file": file_id,
            "max_steps": steps,
            "n_epochs": 50,
            "batch_size": 1,
        }
        spec = JobSpec.model_validate(fields | options)
        with self.database.session() as session:
            return jobs.create_job(tenant(session), spec=spec, request={"model": model}, suffix="test").id

    def send(self, job_id: str) -> None:
        """Send a wake-up."""
        send(self._celery, job_id)

    def cancel(self, job_id: str) -> None:
        """Cancel as the API does."""
        with self.database.session() as session:
            jobs.request_cancel(tenant(session), job_id)
        bus.publish_cancel(self.redis, job_id)

    def wait(self, job_id: str, done: Callable[[Job], bool]) -> Job:
        """Wait until the job is as wanted; returns it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not done(job := read_job(self.database, job_id)):
            assert time.monotonic() < deadline, (
                f"{job_id}: {job.state}, step {job.step}, {job.error}; {self.log()}"
            )
            time.sleep(0.05)
        return job

    def wait_until_training(self, job_id: str) -> None:
        """Wait until the trainer process of the job's present attempt lives."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not trainers(job_id):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def wait_until_trained(self, job_id: str, steps: int = 1) -> Job:
        """Wait until some steps are stored."""
        return self.wait(job_id, lambda job: job.step >= steps)

    def wait_until_ended(self, job_id: str) -> Job:
        """Wait until the job has ended."""
        return self.wait(job_id, lambda job: job.finished_at is not None)

    def wait_for_workers(self, number: int) -> None:
        """Wait until so many worker processes show themselves."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            with self.database.session() as session:
                if len(list_workers(tenant(session))) == number:
                    return
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def wait_until_clean(self, job_id: str) -> None:
        """Wait until the worker has removed the job's scratch folder, which it does after the job's end."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (self.settings.data_dir / "work" / job_id).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @contextmanager
    def process(self, module: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `python -m module`; stopped at the end, if the test has not done so."""
        env = {
            **os.environ,
            "ISTHMUS_DATABASE_URL": self.settings.database_url,
            "ISTHMUS_REDIS_URL": self.settings.redis_url,
            "ISTHMUS_DATA_DIR": str(self.settings.data_dir),
            "ISTHMUS_HUB": "false",
            "ISTHMUS_LEASE_SECONDS": str(self.settings.lease_seconds),
            "ISTHMUS_HEARTBEAT_SECONDS": str(self.settings.heartbeat_seconds),
            "ISTHMUS_SCHEDULER_SECONDS": str(self.settings.scheduler_seconds),
            "ISTHMUS_CANCEL_GRACE_SECONDS": str(self.settings.cancel_grace_seconds),
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        with (self.logs / f"{module}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=env, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def log(self) -> str:
        """What the processes wrote, for the message of a failed test."""
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.logs.iterdir()))


def trainers(job_id: str) -> list[psutil.Process]:
    """The trainer processes of a job that are alive."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if "worker.run" in command and job_id in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def wait_until_gone(job_id: str) -> None:
    """Wait until no trainer of the job is left."""
    _, alive = psutil.wait_procs(trainers(job_id), timeout=30)
    assert not alive


def chat_lines(rows: int = 128) -> bytes:
    """Training data."""
    return b"\n".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"Say {number}."},
                    {"role": "assistant", "content": f"{number}!"},
                ]
            }
        ).encode()
        for number in range(rows)
    )


@pytest.fixture(scope="module")
def service(
    postgres_url: str, migrated_template: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service without processes."""
    data_dir = tmp_path_factory.mktemp("data")
    make_tiny_model(data_dir / "models" / "tiny", layers=2)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    with fresh_database(postgres_url, migrated_template) as database_url:
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_dir=data_dir,
            hub=False,
            lease_seconds=4.0,
            heartbeat_seconds=1.0,
            scheduler_seconds=0.2,
            cancel_grace_seconds=2.0,
        )
        running = Service(settings, tmp_path_factory.mktemp("logs"))
        yield running
        running.redis.close()
        running.database.close()
