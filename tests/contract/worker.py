"""A worker's side of a job, by the store's functions: what the API's clients then see."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ist_core.records import Message, Started
from store import bus, jobs, runs
from store.checkpoints import checkpoint_prefix, record_checkpoint
from store.events import append_events
from store.object_storage import open_objects
from store.steps import append_steps
from store.tuned_models import artifact_prefix, create_tuned_model, new_model_id
from tests.contract.conftest import LAYERS, Service, step_record

TOTAL = 20


class Run:
    """One attempt at a job."""

    def __init__(self, service: Service, job_id: str) -> None:
        self.service = service
        self.job_id = job_id
        with service.database.session() as session:
            claim = runs.claim(session, job_id, worker="test", lease_seconds=60)
            assert claim is not None
            self.attempt = claim.attempt
            started = Started(TOTAL, LAYERS, 12, 10, 100, "cpu")
            assert runs.record_start(session, job_id, claim.attempt, started)
        self.ping()

    def steps(self, first: int, last: int) -> None:
        """Report steps `first` to `last` in one batch."""
        with self.service.database.session() as session:
            batch = [step_record(step) for step in range(first, last + 1)]
            assert append_steps(session, self.job_id, self.attempt, batch)
        self.ping()

    def checkpoint(self, step: int, *, adapter: Path | None = None, **measured: float) -> None:
        """Store a checkpoint of an adapter and the rest, with what was measured beside the loss."""
        prefix = checkpoint_prefix(self.job_id, self.attempt, step)
        objects = open_objects(self.service.settings)
        files = {"weights": f"adapter/weights {step}".encode()} if adapter is None else _files(adapter)
        made = {f"adapter/{path}": data for path, data in files.items()}
        made["state.safetensors"] = f"state.safetensors {step}".encode()
        stored = [objects.put(prefix + path, io.BytesIO(data)) for path, data in made.items()]
        metrics = {"loss": 1 / max(step, 1), **measured}
        with self.service.database.session() as session:
            assert record_checkpoint(
                session, self.job_id, self.attempt, step=step, metrics=metrics, stored=stored
            )
        self.ping()

    def say(self, text: str, *, ping: bool = True) -> None:
        """Log a line."""
        with self.service.database.session() as session:
            assert append_events(session, self.job_id, self.attempt, [Message(text)])
        if ping:
            self.ping()

    def succeed(
        self,
        *,
        samples: Sequence[dict[str, Any]] = (),
        evaluation: dict[str, Any] | None = None,
        adapter: Path | None = None,
    ) -> str:
        """End well, with an adapter, a report and its evaluation; returns the model's name."""
        prefix = artifact_prefix(self.job_id, self.attempt)
        objects = open_objects(self.service.settings)
        files = {"adapter_config.json": b"{}"} if adapter is None else _files(adapter)
        made = {f"adapter/{path}": data for path, data in files.items()} | {"report.json": b"{}"}
        if samples:
            made["samples.jsonl"] = b"".join(json.dumps(sample).encode() + b"\n" for sample in samples)
        stored = [objects.put(prefix + path, io.BytesIO(data)) for path, data in made.items()]
        with self.service.database.session() as session:
            job = jobs.get_job(session, self.job_id)
            assert job is not None
            name = new_model_id(job.model, job.suffix)
            create_tuned_model(session, model_id=name, job=job, prefix=prefix, artifacts=stored)
            assert runs.finish_succeeded(
                session,
                self.job_id,
                self.attempt,
                fine_tuned_model=name,
                result_files=[],
                report={"steps": TOTAL} | ({"evaluation": evaluation} if evaluation else {}),
                trained_tokens=1000,
            )
        self.ping()
        return name

    def fail(self) -> None:
        """End badly."""
        with self.service.database.session() as session:
            assert runs.finish_failed(
                session, self.job_id, self.attempt, code="out_of_memory", message="no memory", param=None
            )
        self.ping()

    def cancelled(self) -> None:
        """End as asked."""
        with self.service.database.session() as session:
            assert runs.finish_cancelled(session, self.job_id, self.attempt)
        self.ping()

    def ping(self) -> None:
        """Tell the watchers."""
        bus.publish_job(self.service.redis, self.job_id, 0)


def _files(adapter: Path) -> dict[str, bytes]:
    """An adapter's files."""
    return {
        path.relative_to(adapter).as_posix(): path.read_bytes()
        for path in sorted(adapter.rglob("*"))
        if path.is_file()
    }
