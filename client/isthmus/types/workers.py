"""Workers, and what they train on."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Identified, Lenient


class WorkerDevice(Lenient):
    """What a worker trains on."""

    type: Literal["cuda", "cpu"] | str
    name: str
    memory_bytes: int | None = None
    memory_used_bytes: int | None = None
    """By whoever uses it; of a CPU: the machine's memory."""


class Worker(Identified):
    """A worker process."""

    object: str = "fine_tuning.worker"
    host: str
    pid: int
    state: Literal["idle", "busy", "stopping", "gone"] | str
    """gone: it has been silent for a while; its job is given to another."""
    device: WorkerDevice
    job_id: str | None = None
    """The job that it runs, if it is of the key's project."""
    attempt: int | None = None
    """Of that job."""
    started_at: int
    last_seen_at: int
