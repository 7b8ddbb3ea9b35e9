"""`/v1/files`: upload, list, retrieve, content."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile

from api.download import attachment
from api.errors import ApiError, bad_request, not_found
from api.middleware import file_too_large
from api.routes.dependencies import ERRORS, After, Identifier, OpenServices, Tx
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import ListWithEnds, with_ends
from api.wire.files import FileObject, file_object
from ist_core import formats
from store.files import file_key, find_file, list_files, new_file_id, receive_file
from store.quotas import check_bytes
from store.tenant import Tenant

FINE_TUNE = "fine-tune"
FIELDS = frozenset({"file", "purpose"})
MAX_NAME = 255

router = APIRouter(prefix="/files", tags=["files"], responses=ERRORS)

UPLOAD_DESCRIPTION = "JSON Lines, all rows of one format: " + ", or ".join(
    f"{row_format.name}: `{row_format.example}`" for row_format in formats.FORMATS.values()
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
                    "properties": {
                        "purpose": {"type": "string", "enum": [FINE_TUNE]},
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": UPLOAD_DESCRIPTION,
                        },
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=UPLOAD_SCHEMA)
async def upload(request: Request, services: OpenServices, tx: Tx) -> FileObject:
    """Upload training data. It is checked line by line first: a bad line leaves nothing behind."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(
            415, "Send multipart/form-data with the fields purpose and file", code="unsupported_media_type"
        )
    # Read here, not by a declared parameter, so that the key is checked before the body is taken.
    async with request.form(max_files=1, max_fields=8, max_part_size=64 * 1024) as form:
        upload_file = _check_form(form)
        if (upload_file.size or 0) > services.settings.max_file_bytes:
            raise file_too_large(services.settings.max_file_bytes)
        return await run_in_threadpool(_store, upload_file, services, tx)


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
    """One file's description."""
    file = find_file(tx.tenant, file_id)
    if file is None:
        raise not_found("file", file_id, param="file_id")
    return file_object(file)


@router.get(
    "/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file's bytes"}},
)
def content(file_id: Identifier, services: OpenServices, tx: Tx) -> StreamingResponse:
    """One file's bytes."""
    file = find_file(tx.tenant, file_id)
    if file is None:
        raise not_found("file", file_id, param="file_id")
    return attachment(services.objects, file.key, filename=file.filename, size=file.bytes)


def safe_name(name: str | None) -> str:
    """A file name without folders and control characters, at most 255 characters long."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(character for character in last if character.isprintable()).strip()
    return printable[-MAX_NAME:] if printable.strip(".") else "upload.jsonl"


def _check_form(form: FormData) -> UploadFile:
    unknown = sorted(set(form) - FIELDS)
    if unknown:
        raise bad_request(
            f"{unknown[0]}: not supported; the fields are purpose and file",
            param=unknown[0],
            code="unknown_parameter",
        )
    for name in FIELDS:
        if len(form.getlist(name)) > 1:
            raise bad_request(f"{name}: given more than once", param=name, code="repeated_parameter")
    purpose, file = form.get("purpose"), form.get("file")
    if not isinstance(purpose, str) or not purpose:
        raise bad_request("purpose: is required, and is a text", param="purpose", code="missing_parameter")
    if purpose != FINE_TUNE:
        raise bad_request(
            f"purpose: {purpose[:40]!r} is not supported; supported: {FINE_TUNE}",
            param="purpose",
            code="invalid_purpose",
        )
    if not isinstance(file, UploadFile):
        raise bad_request(
            "file: is required, and is a file with a name", param="file", code="missing_parameter"
        )
    return file


def _store(upload_file: UploadFile, services: Services, tx: ProjectTransaction) -> FileObject:
    """Check, then write the object, then the row; without the row the object goes away again."""
    with services.database.session() as session:  # not the request's, which takes no connection until the end
        check_bytes(Tenant(session, tx.tenant.project_id), upload_file.size or 0)
    summary = formats.check(upload_file.file, param="file")
    upload_file.file.seek(0)
    file_id = new_file_id()
    key = file_key(file_id)
    tx.after_rollback(lambda: services.objects.delete(key))
    stored = services.objects.put(key, upload_file.file)
    file = receive_file(
        tx.tenant,
        file_id=file_id,
        filename=safe_name(upload_file.filename),
        purpose=FINE_TUNE,
        stored=stored,
        rows=summary.rows,
        data_format=summary.format,
    )
    return file_object(file)
