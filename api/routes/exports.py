"""`/v1/models/{model}/exports`: models in the formats of other software, for download or on a Hub."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from api.download import attachment, download_answers, send_archive
from api.errors import ApiError, bad_request, not_found
from api.export_ends import drop_files, tell_workers
from api.idempotency import JsonOnce
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.routes.models import ModelName, no_such_model, refuse_base_model
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import ListWithEnds, with_ends
from api.wire.exports import DeletedExport, ExportObject, ExportRequest, export_object, status_of
from store.exports import (
    ExportEnded,
    cancel_export,
    create_export,
    delete_export,
    find_export,
    list_exports,
)
from store.model_sources import AdapterSource, find_source
from store.sealing import Seal
from store.tables import Export

FileName = Annotated[str, Path(max_length=512)]

router = APIRouter(prefix="/models", tags=["models"], responses=ERRORS)


@router.post("/{model:path}/exports")
def create(
    model: ModelName, body: ExportRequest, services: OpenServices, tx: Tx, once: JsonOnce
) -> ExportObject:
    """Export a tuned model or a checkpoint. What is there or under way in this format is not made again."""
    _check_request(body, services)
    source = _source(model, services, tx, take=True)
    export, is_new = create_export(
        tx.tenant,
        source,
        body.format,
        push=None if body.destination is None else body.destination.push(),
        seal=Seal.of(services.settings),
    )
    if is_new:
        tx.after_commit(partial(services.queue.wake_export, export.id))
    return once.keep(export_object(export))


@router.get("/{model:path}/exports")
def list_all(
    model: ModelName, services: OpenServices, tx: Tx, after: After = None, limit: Limit = 20
) -> ListWithEnds[ExportObject]:
    """A model's exports, newest first."""
    _source(model, services, tx)
    page = list_exports(tx.tenant, model, after=after, limit=limit)
    return with_ends([export_object(export) for export in page.rows], has_more=page.has_more)


@router.post("/{model:path}/exports/{export_id}/cancel")
def cancel(model: ModelName, export_id: Identifier, services: OpenServices, tx: Tx) -> ExportObject:
    """Cancel an export: at once while queued, else its worker stops it (`status` says `cancelling`)."""
    export = _export(model, export_id, services, tx, for_update=True)
    try:
        export = cancel_export(tx.tenant, export)
    except ExportEnded as error:
        raise bad_request(str(error), param="export_id", code="export_ended") from error
    tell_workers(tx, services, [export])
    return export_object(export)


@router.get(
    "/{model:path}/exports/{export_id}/content",
    response_class=StreamingResponse,
    responses=download_answers("A tar of one folder", "application/x-tar"),
)
def content(
    model: ModelName, export_id: Identifier, request: Request, services: OpenServices, tx: Tx
) -> Response:
    """All files of an export as one tar, with SHA256SUMS."""
    export, prefix = _kept(_export(model, export_id, services, tx))
    name = f"{export.model}-{export.format}".replace(":", "-")
    return send_archive(
        request, services.objects, name, prefix, export.files, made_at=export.finished_at or export.created_at
    )


@router.get(
    "/{model:path}/exports/{export_id}/files/{name:path}",
    response_class=StreamingResponse,
    responses=download_answers("The file's bytes"),
)
def file(
    model: ModelName,
    export_id: Identifier,
    name: FileName,
    request: Request,
    services: OpenServices,
    tx: Tx,
) -> Response:
    """One file of an export, such as the `.gguf` alone."""
    export, prefix = _kept(_export(model, export_id, services, tx))
    # Only a name of the list is ever opened, so none can lead out of the export's own folder.
    found = next((item for item in export.files if item["path"] == name), None)
    if found is None:
        raise not_found("file", name, param="name")
    return attachment(
        request,
        services.objects,
        prefix + name,
        filename=PurePosixPath(name).name,
        size=found["bytes"],
        sha256=found["sha256"],
    )


@router.get("/{model:path}/exports/{export_id}")
def retrieve(model: ModelName, export_id: Identifier, services: OpenServices, tx: Tx) -> ExportObject:
    """One export as it is now."""
    return export_object(_export(model, export_id, services, tx))


@router.delete("/{model:path}/exports/{export_id}")
def delete(model: ModelName, export_id: Identifier, services: OpenServices, tx: Tx) -> DeletedExport:
    """Delete an export with its files; one that is under way is cancelled. What was pushed stays there."""
    export = _export(model, export_id, services, tx, for_update=True)
    delete_export(tx.tenant, export)
    drop_files(tx, services, [export])
    return DeletedExport(id=export_id)


def _check_request(body: ExportRequest, services: Services) -> None:
    if body.destination is None and body.format == "adapter":
        raise bad_request(
            "format: the adapter needs no export; download the model's archive, or name a destination",
            param="format",
            code="adapter_is_there",
        )
    if body.destination is not None and not services.settings.hub:
        raise bad_request(
            "destination: Hubs are switched off here (ISTHMUS_HUB=false); leave it out, then download",
            param="destination",
            code="hub_disabled",
        )


def _source(model: str, services: Services, tx: ProjectTransaction, *, take: bool = False) -> AdapterSource:
    """What the model is made of; raises ApiError for a base model, and for one that is not the project's."""
    refuse_base_model(model, services)
    source = find_source(tx.tenant, model, take=take)
    if source is None:
        raise no_such_model(model)
    return source


def _export(
    model: str, export_id: str, services: Services, tx: ProjectTransaction, *, for_update: bool = False
) -> Export:
    _source(model, services, tx)
    export = find_export(tx.tenant, model, export_id, for_update=for_update)
    if export is None:
        raise not_found("export", export_id, param="export_id")
    return export


def _kept(export: Export) -> tuple[Export, str]:
    """An export whose files can be downloaded, and where they are."""
    if export.prefix is not None:
        return export, export.prefix
    raise _not_kept(export)


def _not_kept(export: Export) -> ApiError:
    status = status_of(export)
    if status == "succeeded":
        text = f"was pushed to {export.url}; nothing of it is kept here"
        return _refused(export, "export_pushed", text)
    if status == "failed":
        reason = "" if export.error is None else f": {export.error['message']}"
        return _refused(export, "export_failed", f"has failed{reason}; mend that, and ask for it again")
    if status in {"cancelling", "cancelled"}:
        return _refused(export, "export_cancelled", f"is {status}; ask for it again")
    text = f"is {status} ({export.progress}); wait until its status is succeeded"
    return _refused(export, "export_not_ready", text)


def _refused(export: Export, code: str, text: str) -> ApiError:
    return bad_request(f"export {export.id} {text}", param="export_id", code=code)
