"""One run of an export, from its claim to its end; every write is fenced by the run's attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, func, or_, select, update
from sqlalchemy.orm import Session

from store.export_states import transition
from store.exports import export_prefix
from store.objects import ObjectInfo
from store.quotas import take_bytes
from store.tables import Export, ExportState
from store.tenant import Tenant


@dataclass(frozen=True, slots=True)
class ExportClaim:
    """A worker's hold on an export; `attempt` is its fencing token."""

    export_id: str
    attempt: int
    request_id: str | None


def claim_next_export(session: Session, *, worker: str, lease_seconds: float) -> ExportClaim | None:
    """Take the export that waits longest; of several workers each gets another one. None: none waits."""
    oldest = (
        select(Export.id)
        .where(Export.state == ExportState.QUEUED)
        .order_by(Export.created_at, Export.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    export_id = session.scalar(oldest)
    if export_id is None:
        return None
    columns = {
        "attempt": Export.attempt + 1,
        "worker": worker,
        "lease_expires_at": _lease_end(lease_seconds),
        "started_at": func.coalesce(Export.started_at, func.clock_timestamp()),
        "progress": "starts",
    }
    export = transition(session, export_id, ExportState.RUNNING, columns=columns)
    return None if export is None else ExportClaim(export.id, export.attempt, export.request_id)


def get_export(session: Session, export_id: str) -> Export | None:
    """An export as it is now, or None, for workers."""
    return session.get(Export, export_id, populate_existing=True)


def heartbeat(session: Session, export_id: str, attempt: int, *, lease_seconds: float) -> bool | None:
    """Renew the lease; whether a cancel is asked for. None: another attempt has it, or it has ended."""
    return session.scalar(
        _held(export_id, attempt)
        .values(lease_expires_at=_lease_end(lease_seconds))
        .returning(Export.cancel_requested)
    )


def tell_progress(session: Session, export_id: str, attempt: int, text: str) -> bool:
    """Say what is being done; False: fenced off."""
    told = session.scalar(_held(export_id, attempt).values(progress=text).returning(Export.id))
    return told is not None


def ready_twin(session: Session, export: Export) -> Export | None:
    """A kept export of the same model and format that has succeeded, whose files a push can send."""
    query = select(Export).where(
        Export.project_id == export.project_id,
        Export.model == export.model,
        Export.format == export.format,
        Export.repo_id.is_(None),
        Export.deleted_at.is_(None),
        Export.state == ExportState.SUCCEEDED,
    )
    return session.scalars(query).one_or_none()


def finish_kept(
    session: Session,
    export_id: str,
    attempt: int,
    *,
    stored: Sequence[ObjectInfo],
    manifest: dict[str, Any],
) -> Export | None:
    """End an export whose files are stored. None: fenced off, or cancelled meanwhile: remove them again.

    Raises QuotaExceeded when the project has no room for them.
    """
    export = session.get(Export, export_id, with_for_update=True, populate_existing=True)
    if export is None or export.attempt != attempt or export.cancel_requested:
        return None
    if export.state is ExportState.SUCCEEDED:
        return export  # the connection broke after a commit that went through
    size = sum(item.bytes for item in stored)
    remedy = "Delete an export, a file or a checkpoint, and ask again"
    take_bytes(Tenant(session, export.project_id), size, remedy=remedy)
    prefix = export_prefix(export_id, attempt)
    columns = {
        "prefix": prefix,
        "files": [
            {"path": item.key.removeprefix(prefix), "bytes": item.bytes, "sha256": item.sha256}
            for item in stored
        ],
        "bytes": size,
        "manifest": manifest,
        "progress": "ready",
    }
    return transition(session, export_id, ExportState.SUCCEEDED, attempt=attempt, columns=columns)


def finish_pushed(
    session: Session, export_id: str, attempt: int, *, url: str, manifest: dict[str, Any] | None
) -> Export | None:
    """End an export that the Hub has, even if a cancel came too late. None: fenced off."""
    export = session.get(Export, export_id, with_for_update=True, populate_existing=True)
    if export is not None and export.attempt == attempt and export.state is ExportState.SUCCEEDED:
        return export
    columns = {"url": url, "manifest": manifest, "progress": "pushed"}
    return transition(session, export_id, ExportState.SUCCEEDED, attempt=attempt, columns=columns)


def finish_failed(
    session: Session, export_id: str, attempt: int, *, code: str, message: str, param: str | None = None
) -> Export | None:
    """End an export as failed, or as cancelled if that was asked for; `message` is for the user."""
    if (asked := finish_cancelled(session, export_id, attempt)) is not None:
        return asked
    columns = {"error": {"code": code, "message": message, "param": param}, "progress": None}
    return transition(session, export_id, ExportState.FAILED, attempt=attempt, columns=columns)


def finish_cancelled(session: Session, export_id: str, attempt: int) -> Export | None:
    """End an export that is to be cancelled. None: it is not, or fenced off."""
    export = session.get(Export, export_id, with_for_update=True, populate_existing=True)
    if export is None or not export.cancel_requested:
        return None
    return transition(session, export_id, ExportState.CANCELLED, attempt=attempt, columns={"progress": None})


def release(session: Session, export_id: str, attempt: int) -> Export | None:
    """Give an export back to the queue: its worker stops, and nothing is wrong. None: fenced off."""
    if (asked := finish_cancelled(session, export_id, attempt)) is not None:
        return asked
    columns = {"sent_at": None, "progress": "waits for a worker: the last one was stopped"}
    return transition(session, export_id, ExportState.QUEUED, attempt=attempt, columns=columns)


def lose(
    session: Session, export_id: str, attempt: int, *, what: str, code: str, max_losses: int
) -> Export | None:
    """Back to the queue after its worker or process was lost, or failed at the `max_losses`-th loss."""
    export = session.get(Export, export_id, with_for_update=True, populate_existing=True)
    if export is None or export.attempt != attempt:
        return None
    losses = export.losses + 1
    if losses >= max_losses:
        message = f"{what}; that was loss {losses} of an export's process, and {max_losses} are too many"
        return finish_failed(session, export_id, attempt, code=code, message=message)
    if (asked := finish_cancelled(session, export_id, attempt)) is not None:
        return asked
    columns = {"sent_at": None, "losses": losses, "progress": f"{what}; waits for a worker"}
    return transition(session, export_id, ExportState.QUEUED, attempt=attempt, columns=columns)


def expired_exports(session: Session, *, patience_seconds: float, limit: int = 100) -> list[Export]:
    """Running exports whose lease ran out, locked; of those to be cancelled also whose lease has no more
    than `patience_seconds` left: their worker has missed its heartbeats."""
    query = expired_exports_query(patience_seconds).order_by(Export.lease_expires_at).limit(limit)
    query = query.with_for_update(skip_locked=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def expired_exports_query(patience_seconds: float) -> Select[Export]:
    """What `expired_exports` looks for."""
    now = func.clock_timestamp()
    soon = now + timedelta(seconds=patience_seconds)
    over = or_(Export.lease_expires_at < now, Export.cancel_requested & (Export.lease_expires_at < soon))
    return select(Export).where(Export.state == ExportState.RUNNING, over)


def mark_export_sent(session: Session, export_id: str) -> None:
    """Note that the queue took a wake-up for the export just now."""
    session.execute(_of(export_id).values(sent_at=func.clock_timestamp()))


def mark_export_unsent(session: Session, export_id: str) -> None:
    """Note that a wake-up was taken from the queue in vain, so that the scheduler sends another."""
    session.execute(_of(export_id).values(sent_at=None))


def unsent_exports(
    session: Session, *, sent_before_seconds: float | None = None, limit: int = 100
) -> list[str]:
    """Ids of queued exports without a wake-up, as `unsent_jobs`."""
    query = unsent_exports_query(sent_before_seconds).order_by(Export.created_at, Export.id).limit(limit)
    return list(session.scalars(query))


def unsent_exports_query(sent_before_seconds: float | None) -> Select[str]:
    """What `unsent_exports` looks for."""
    due: ColumnElement[bool] = Export.sent_at.is_(None)
    if sent_before_seconds is not None:
        due |= Export.sent_at < func.now() - timedelta(seconds=sent_before_seconds)
    return select(Export.id).where(Export.state == ExportState.QUEUED, due)


def _of(export_id: str) -> Update:
    return update(Export).where(Export.id == export_id).execution_options(synchronize_session=False)


def _held(export_id: str, attempt: int) -> Update:
    return _of(export_id).where(Export.attempt == attempt, Export.state == ExportState.RUNNING)


def _lease_end(seconds: float) -> ColumnElement[Any]:
    return func.clock_timestamp() + timedelta(seconds=seconds)
