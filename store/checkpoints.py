"""A job's checkpoints: adapters that stay, and for the newest two all that a run needs to go on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ist_core.records import Message
from store.events import add_event, plain
from store.ids import new_id
from store.objects import ObjectInfo
from store.paging import Page, UnknownCursor, page_of
from store.series import allocate
from store.states import TERMINAL
from store.tables import Checkpoint, Job
from store.tenant import Tenant

RESUMABLE = 2
"""So many of a live job's checkpoints can be resumed from: should the newest be damaged, there is another."""

ADAPTER = "adapter/"
"""Where in a checkpoint its adapter is, which is kept for as long as its row."""


def checkpoints_prefix(job_id: str) -> str:
    """Where a job's checkpoints are in object storage."""
    return f"checkpoints/{job_id}/"


def checkpoint_prefix(job_id: str, attempt: int, step: int) -> str:
    """Where one checkpoint is: attempts never write over each other."""
    return f"{checkpoints_prefix(job_id)}{attempt}/step-{step:06d}/"


def record_checkpoint(
    session: Session,
    job_id: str,
    attempt: int,
    *,
    step: int,
    metrics: Mapping[str, float],
    stored: Sequence[ObjectInfo],
) -> bool:
    """Write the row of a checkpoint whose objects are stored, with an event; False: fenced off.

    One of the same step, which an earlier attempt made, is replaced: it could not be resumed from.
    """
    seqs = allocate(session, job_id, attempt, 1)
    if seqs is None:
        return False
    prefix = checkpoint_prefix(job_id, attempt, step)
    made = {
        "attempt": attempt,
        "metrics": plain(dict(metrics)),
        "prefix": prefix,
        "files": [
            {"path": item.key.removeprefix(prefix), "bytes": item.bytes, "sha256": item.sha256}
            for item in stored
        ],
        "bytes": sum(item.bytes for item in stored),
        "resumable": True,
    }
    project_id = select(Job.project_id).where(Job.id == job_id).scalar_subquery()
    new = {"id": new_id("ftckpt"), "job_id": job_id, "project_id": project_id, "step": step}
    statement = insert(Checkpoint).values(**new, **made)
    statement = statement.on_conflict_do_update(index_elements=["job_id", "step"], set_=made)
    checkpoint_id = session.scalar(statement.returning(Checkpoint.id))
    data = {"step": step, "checkpoint": checkpoint_id}
    add_event(session, job_id, seqs[0], Message(f"Checkpoint at step {step}", data=data))
    session.flush()
    return True


def resumable_checkpoints(session: Session, job_id: str) -> list[Checkpoint]:
    """The checkpoints that a new attempt may go on from, newest first."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id, Checkpoint.resumable)
        .order_by(Checkpoint.step.desc())
        .limit(RESUMABLE)
    )
    return list(session.scalars(query))


def newest_checkpoint(session: Session, job_id: str) -> int:
    """The step of the job's newest checkpoint; 0 without one."""
    query = select(func.max(Checkpoint.step)).where(Checkpoint.job_id == job_id, Checkpoint.resumable)
    return session.scalar(query) or 0


def list_checkpoints(
    tenant: Tenant, job_id: str, *, after: str | None = None, limit: int = 10
) -> Page[Checkpoint]:
    """A page of a job's checkpoints, newest first. Raises UnknownCursor when `after` is none of them."""
    of_job = Checkpoint.job_id == tenant.job_id(job_id)
    query = select(Checkpoint).where(of_job).order_by(Checkpoint.step.desc()).limit(limit + 1)
    if after is not None:
        step = tenant.session.scalar(select(Checkpoint.step).where(of_job, Checkpoint.id == after))
        if step is None:
            raise UnknownCursor(after)
        query = query.where(Checkpoint.step < step)
    return page_of(tenant.session.scalars(query).all(), limit)


def find_checkpoints(tenant: Tenant, job_id: str, ids: Collection[str]) -> dict[str, Checkpoint]:
    """Those of a job's checkpoints that have these ids, by id."""
    if not ids:
        return {}
    query = select(Checkpoint).where(Checkpoint.job_id == tenant.job_id(job_id), Checkpoint.id.in_(ids))
    return {row.id: row for row in tenant.session.scalars(query)}


def all_checkpoints(session: Session, job_id: str) -> list[Checkpoint]:
    """Every checkpoint of a job, newest first."""
    query = select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.step.desc())
    return list(session.scalars(query))


def find_checkpoint(tenant: Tenant, job_id: str, checkpoint_id: str) -> Checkpoint | None:
    """A checkpoint of a job of the project, or None."""
    query = select(Checkpoint).where(
        Checkpoint.job_id == tenant.job_id(job_id), Checkpoint.id == checkpoint_id
    )
    return tenant.session.scalars(query).one_or_none()


def delete_checkpoint(tenant: Tenant, checkpoint: Checkpoint) -> None:
    """Remove the row of a checkpoint whose job has ended; its objects can go once this is committed."""
    tenant.session.delete(checkpoint)
    tenant.session.flush()


def jobs_to_trim(session: Session, *, limit: int = 100) -> list[str]:
    """Jobs that hold more than they go on from: beyond the newest two, or after their end."""
    return list(session.scalars(trim_query().limit(limit)))


def trim_query() -> Select[str]:
    """What `jobs_to_trim` looks for."""
    return (
        select(Checkpoint.job_id)
        .join(Job, Job.id == Checkpoint.job_id)
        .where(Checkpoint.resumable)
        .group_by(Checkpoint.job_id, Job.state)
        .having(or_(Job.state.in_(TERMINAL), func.count() > RESUMABLE))
    )


def surplus(job: Job, checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Of all a job's checkpoints, newest first, those that it does not go on from."""
    kept = [] if job.state in TERMINAL else [row for row in checkpoints if row.resumable][:RESUMABLE]
    return [row for row in checkpoints if row not in kept]


def adapter_files(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """What stays of a checkpoint."""
    return [file for file in checkpoint.files if file["path"].startswith(ADAPTER)]


def reduce_to_adapter(session: Session, checkpoint: Checkpoint) -> None:
    """Note that only the adapter is left, unless another attempt has made the checkpoint again."""
    files = adapter_files(checkpoint)
    session.execute(
        update(Checkpoint)
        .where(Checkpoint.id == checkpoint.id, Checkpoint.attempt == checkpoint.attempt)
        .values(resumable=False, files=files, bytes=sum(file["bytes"] for file in files))
        .execution_options(synchronize_session=False)
    )


def forsake(session: Session, job_id: str, attempt: int, checkpoint_id: str) -> bool:
    """Resume no more from a checkpoint that was found unusable; False: fenced off."""
    if allocate(session, job_id, attempt, 0) is None:
        return False
    session.execute(
        update(Checkpoint)
        .where(Checkpoint.id == checkpoint_id)
        .values(resumable=False)
        .execution_options(synchronize_session=False)
    )
    return True
