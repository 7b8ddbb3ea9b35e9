"""Worker processes: each tells every few seconds that it is there, and removes its row at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from store.tables import Export, Job, State, Worker
from store.tenant import Tenant

BEAT_SECONDS = 5.0
MISSED_BEATS = 3
"""One that is silent for so many is taken to be gone."""
KEPT = timedelta(hours=1)
"""So long one that is gone is shown."""

WorkerState = Literal["idle", "busy", "stopping", "gone"]


@dataclass(frozen=True, slots=True)
class Device:
    """What a worker trains on; None: not known."""

    device: Literal["cuda", "cpu"]
    device_name: str
    memory_bytes: int | None
    memory_used_bytes: int | None


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker as a project sees it: the job is named only if it is the project's own."""

    worker: Worker
    state: WorkerState
    job_id: str | None
    attempt: int | None


def beat(session: Session, *, host: str, pid: int, device: Device, stopping: bool, first: bool) -> None:
    """Write that a worker is there; `first`: it has just begun."""
    now = func.clock_timestamp()
    seen = {"seen_at": now, "stopping": stopping, **asdict(device)}
    begun = {"started_at": now} if first else {}
    statement = insert(Worker).values(id=worker_id(host, pid), host=host, pid=pid, started_at=now, **seen)
    session.execute(statement.on_conflict_do_update(index_elements=["id"], set_={**seen, **begun}))


def leave(session: Session, *, host: str, pid: int) -> None:
    """Remove the row of a worker that ends in order."""
    session.execute(delete(Worker).where(Worker.id == worker_id(host, pid)))


def forget_workers(session: Session) -> None:
    """Remove those that have been gone for long."""
    session.execute(delete(Worker).where(Worker.seen_at < func.clock_timestamp() - KEPT))


def worker_id(host: str, pid: int) -> str:
    """What a worker's jobs name it by."""
    return f"{host}:{pid}"


def list_workers(tenant: Tenant) -> list[SeenWorker]:
    """All workers of the service, by id, as the project sees them."""
    silence = timedelta(seconds=BEAT_SECONDS * MISSED_BEATS)
    exports = select(Export.id).where(Export.worker == Worker.id, Export.state == literal_column("'running'"))
    is_gone = Worker.seen_at < func.clock_timestamp() - silence
    query = (
        select(Worker, Job.id, Job.attempt, Job.project_id, is_gone, exports.exists())
        .outerjoin(Job, (Job.worker == Worker.id) & (Job.state == State.RUNNING))
        .order_by(Worker.id, Job.claimed_at)
        .ext(distinct_on(Worker.id))
    )
    found = []
    for worker, job_id, attempt, project_id, gone, exporting in tenant.session.execute(query):
        own = job_id is not None and project_id == tenant.project_id
        state = _state(worker, is_gone=gone, is_busy=exporting or job_id is not None)
        found.append(SeenWorker(worker, state, job_id if own else None, attempt if own else None))
    return found


def _state(worker: Worker, *, is_gone: bool, is_busy: bool) -> WorkerState:
    if is_gone:
        return "gone"
    if worker.stopping:
        return "stopping"
    return "busy" if is_busy else "idle"
