"""Exports as clients have them: asked for once, listed, cancelled, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store.export_states import ENDED, transition
from store.ids import new_id
from store.log import current_ids
from store.model_sources import AdapterSource
from store.paging import Page, UnknownCursor, page_of
from store.quotas import take_bytes
from store.sealing import Seal
from store.tables import Export, ExportState
from store.tenant import Tenant

ExportFormat = Literal["adapter", "merged", "gguf_f16", "gguf_q8_0"]


@dataclass(frozen=True, slots=True)
class Push:
    """A Hub repository to push to, and the token to do it with; None: the worker's own `HF_TOKEN`."""

    repo_id: str
    private: bool
    token: str | None


class ExportEnded(RuntimeError):
    """The export has already ended, so it cannot be cancelled."""

    def __init__(self, export: Export) -> None:
        super().__init__(f"export {export.id} has already ended: {export.state.value}")


def exports_prefix(export_id: str) -> str:
    """Where all that is kept of an export is in object storage."""
    return f"exports/{export_id}/"


def export_prefix(export_id: str, attempt: int) -> str:
    """Where one attempt stores its files: attempts never write over each other."""
    return f"{exports_prefix(export_id)}{attempt}/"


def create_export(
    tenant: Tenant, source: AdapterSource, format_: ExportFormat, *, push: Push | None, seal: Seal
) -> tuple[Export, bool]:
    """The export of a model to a format, and whether it is new: one that is there is not made again.

    `source` must be locked by this transaction (`find_source`). One that failed or was cancelled is asked
    for anew; one that was pushed is pushed again. Raises QuotaExceeded when the project is full already.
    """
    export_id = new_id("export")
    values = {
        "id": export_id,
        "project_id": tenant.project_id,
        "request_id": current_ids().get("request_id"),
        "model": source.model,
        "job_id": source.job_id,
        "step": source.step,
        "format": format_,
        "repo_id": None if push is None else push.repo_id,
        "private": push is not None and push.private,
        "hub_token": None if push is None or push.token is None else seal.close(export_id, push.token),
        "state": ExportState.QUEUED,
        "progress": "waits for a worker",
    }
    same = (
        _exports(tenant)
        .where(Export.model == source.model, Export.format == format_, ~Export.cancel_requested)
        .where(Export.repo_id.is_not_distinct_from(values["repo_id"]))
        .where(Export.state.in_(_standing(push)))
    )
    while True:
        found = tenant.session.scalars(same).one_or_none()
        if found is not None:
            return found, False
        if push is None:
            take_bytes(tenant, 1, remedy="Delete an export, a file or a checkpoint")
        statement = insert(Export).values(values).on_conflict_do_nothing().returning(Export)
        made = tenant.session.scalars(statement).one_or_none()
        if made is not None:
            return made, True
        # Another request was first, and its row is visible now; or it has come and gone.


def find_export(tenant: Tenant, model: str, export_id: str, *, for_update: bool = False) -> Export | None:
    """An export of this model of the project as it is now, or None."""
    query = _exports(tenant).where(Export.model == model, Export.id == export_id)
    if for_update:
        query = query.with_for_update()
    return tenant.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def list_exports(tenant: Tenant, model: str, *, after: str | None = None, limit: int = 20) -> Page[Export]:
    """A page of a model's exports, newest first. Raises UnknownCursor when `after` is none of them."""
    query = _exports(tenant).where(Export.model == model).limit(limit + 1)
    if after is not None:
        last = find_export(tenant, model, after)
        if last is None:
            raise UnknownCursor(after)
        query = query.where(tuple_(Export.created_at, Export.id) < (last.created_at, last.id))
    query = query.order_by(Export.created_at.desc(), Export.id.desc())
    return page_of(tenant.session.scalars(query).all(), limit)


def cancel_export(tenant: Tenant, export: Export) -> Export:
    """Cancel an export whose row is locked: at once when no worker has it, else by asking its worker.

    Raises ExportEnded. Of one that is still running, publish the request after the commit.
    """
    if export.state in ENDED:
        raise ExportEnded(export)
    export.cancel_requested = True
    tenant.session.flush()
    if export.state is ExportState.QUEUED:
        transition(tenant.session, export.id, ExportState.CANCELLED)
    return export


def delete_export(tenant: Tenant, export: Export) -> None:
    """Mark an export whose row is locked as deleted, and cancel it if it has not ended.

    Its files can go once this is committed, if it had ended; else the Janitor removes them.
    """
    export.deleted_at = func.clock_timestamp()
    if export.state not in ENDED:
        cancel_export(tenant, export)
    tenant.session.flush()


def delete_exports_of(tenant: Tenant, models: Sequence[str]) -> list[Export]:
    """Delete all exports of models that go, as `delete_export`."""
    query = _exports(tenant).where(Export.model.in_(models)).order_by(Export.id).with_for_update()
    exports = list(tenant.session.scalars(query.execution_options(populate_existing=True)))
    for export in exports:
        delete_export(tenant, export)
    return exports


def unpurged_exports(session: Session, *, limit: int = 100) -> list[Export]:
    """Deleted exports that have ended, whose files may still be there."""
    gone = (Export.deleted_at.is_not(None), Export.purged_at.is_(None), Export.state.in_(ENDED))
    return list(session.scalars(select(Export).where(*gone).limit(limit)))


def mark_export_purged(session: Session, export_id: str) -> None:
    """Note that a deleted export's files are gone."""
    session.get_one(Export, export_id).purged_at = func.clock_timestamp()


def _standing(push: Push | None) -> list[ExportState]:
    """The states of an export that stands for a new one."""
    live = [ExportState.QUEUED, ExportState.RUNNING]
    return [*live, ExportState.SUCCEEDED] if push is None else live


def _exports(tenant: Tenant) -> Select[Export]:
    return select(Export).where(Export.project_id == tenant.project_id, Export.deleted_at.is_(None))
