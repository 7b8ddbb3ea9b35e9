"""Workers on the wire (ours)."""

from __future__ import annotations

from typing import Literal

from api.wire.common import Identified, WireModel, unix
from store.workers import SeenWorker


class WorkerDevice(WireModel):
    """What a worker trains on."""

    type: Literal["cuda", "cpu"]
    name: str
    memory_bytes: int | None
    memory_used_bytes: int | None
    """By whoever uses it; of a CPU: the machine's memory."""


class WorkerObject(Identified):
    """A worker process."""

    object: Literal["fine_tuning.worker"] = "fine_tuning.worker"
    host: str
    pid: int
    state: Literal["idle", "busy", "stopping", "gone"]
    """gone: it has been silent for a while; its job is given to another."""
    device: WorkerDevice
    job_id: str | None
    """The job that it runs, if it is of the key's project."""
    attempt: int | None
    """Of that job."""
    started_at: int
    last_seen_at: int


def worker_object(seen: SeenWorker) -> WorkerObject:
    """A worker as its wire object."""
    worker = seen.worker
    return WorkerObject.model_validate(
        {
            "id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "state": seen.state,
            "device": {
                "type": worker.device,
                "name": worker.device_name,
                "memory_bytes": worker.memory_bytes,
                "memory_used_bytes": worker.memory_used_bytes,
            },
            "job_id": seen.job_id,
            "attempt": seen.attempt,
            "started_at": unix(worker.started_at),
            "last_seen_at": unix(worker.seen_at),
        }
    )
