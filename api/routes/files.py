"""`/v1/files`: upload, list, retrieve, content, delete."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from isthmus.dataset import formats

from api.download import attachment, download_answers
from api.errors import bad_request, not_found
from api.forms import file_field, read_form, safe_name, text_field
from api.idempotency import FormOnce, Once
from api.receiving import FINE_TUNE, HOUR, MONTH, Incoming, check_purpose, lifetime_of, receive
from api.routes.dependencies import ERRORS, After, Identifier, OpenServices, Tx
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import ListWithEnds, with_ends
from api.wire.files import DeletedFile, FileObject, file_object
from store.files import FileInUse, delete_file, find_file, list_files
from store.tables import File

ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
FIELDS = ("purpose", "file", ANCHOR, SECONDS)

router = APIRouter(prefix="/files", tags=["files"], responses=ERRORS)

UPLOAD_DESCRIPTION = (
    "JSON Lines, Parquet, or (for rows of texts) CSV with a header; all rows of one format: "
    + ", or ".join(f"{name}: `{row_format.example}`" for name, row_format in formats.FORMATS.items())
)
UPLOAD_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "additionalProperties": False,
                    "dependentRequired": {ANCHOR: [SECONDS], SECONDS: [ANCHOR]},
                    "properties": {
                        "purpose": {"type": "string", "enum": [FINE_TUNE]},
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": UPLOAD_DESCRIPTION,
                        },
                        ANCHOR: {"type": "string", "enum": ["created_at"]},
                        SECONDS: {"type": "integer", "minimum": HOUR, "maximum": MONTH},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=UPLOAD_SCHEMA)
async def upload(request: Request, services: OpenServices, tx: Tx, once: FormOnce) -> FileObject:
    """Upload training data. It is checked line by line first: a bad line leaves nothing behind."""
    async with read_form(request, FIELDS) as form:
        purpose = check_purpose(text_field(form, "purpose"))
        lifetime = lifetime_of(text_field(form, ANCHOR), text_field(form, SECONDS))
        file = file_field(form, "file")
        incoming = Incoming(safe_name(file.filename), purpose, file.size or 0, lifetime)
        return await run_in_threadpool(_take, file.file, incoming, services, tx, once)


@router.get("")
def list_all(
    tx: Tx,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    order: Literal["asc", "desc"] = "desc",
    purpose: Annotated[str | None, Query(max_length=64, pattern="^[a-z_-]+$")] = None,
) -> ListWithEnds[FileObject]:
    """List files by time of creation."""
    page = list_files(tx.tenant, after=after, limit=limit, order=order, purpose=purpose)
    return with_ends([file_object(file) for file in page.rows], has_more=page.has_more)


@router.get("/{file_id}")
def retrieve(file_id: Identifier, tx: Tx) -> FileObject:
    """One file's description, with what its check found."""
    return file_object(the_file(tx, file_id))


@router.delete("/{file_id}")
def delete(file_id: Identifier, services: OpenServices, tx: Tx) -> DeletedFile:
    """Delete a file; refused while a job that has not ended uses it."""
    try:
        file = delete_file(tx.tenant, file_id)
    except FileInUse as error:
        raise bad_request(f"file_id: {error}", param="file_id", code="file_in_use") from error
    if file is None:
        raise not_found("file", file_id, param="file_id")
    tx.after_commit(partial(services.objects.delete, file.key))
    return DeletedFile(id=file.id)


@router.get(
    "/{file_id}/content", response_class=StreamingResponse, responses=download_answers("The file's bytes")
)
def content(file_id: Identifier, request: Request, services: OpenServices, tx: Tx) -> Response:
    """One file's bytes, as they were uploaded."""
    file = the_file(tx, file_id)
    return attachment(
        request, services.objects, file.key, filename=file.filename, size=file.bytes, sha256=file.sha256
    )


def _take(
    stream: BinaryIO, incoming: Incoming, services: Services, tx: ProjectTransaction, once: Once
) -> FileObject:
    lifetime = None if incoming.lifetime is None else str(incoming.lifetime)
    once.check_form({"filename": incoming.filename, "lifetime": lifetime}, stream)
    return once.keep(file_object(receive(stream, incoming, services, tx)))


def the_file(tx: ProjectTransaction, file_id: str) -> File:
    """The file of the caller's project; raises ApiError 404."""
    file = find_file(tx.tenant, file_id)
    if file is None:
        raise not_found("file", file_id, param="file_id")
    return file
