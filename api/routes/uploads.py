"""`/v1/uploads`: a file in parts, each stored as it comes, joined and checked when it is complete."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, StringConstraints
from starlette.datastructures import UploadFile

from api.errors import ApiError, bad_request, not_found
from api.forms import MAX_NAME, file_field, read_form, safe_name
from api.idempotency import FormOnce, JsonOnce, Once
from api.middleware import PART_BYTES, file_too_large, part_too_large
from api.receiving import ExpiresAfter, Incoming, check_purpose, store_checked, write_row
from api.routes.dependencies import ERRORS, Identifier, OpenServices, Tx
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import RequestModel
from api.wire.uploads import PartObject, UploadObject, part_object, upload_object
from store import uploads
from store.files import find_file
from store.joined import open_joined
from store.objects import CHUNK_BYTES, ObjectNotFound
from store.quotas import check_bytes
from store.tables import Upload, UploadPart
from store.tenant import Tenant
from store.uploads import TooManyParts, UnknownPart, UploadEnded

MIME_TYPES = (
    "application/jsonl",
    "application/x-jsonlines",
    "application/x-ndjson",
    "application/json",
    "application/vnd.apache.parquet",
    "application/octet-stream",
    "text/jsonl",
    "text/csv",
    "text/tab-separated-values",
    "text/plain",
)

router = APIRouter(prefix="/uploads", tags=["uploads"], responses=ERRORS)

PART_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "additionalProperties": False,
                    "properties": {"data": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


class UploadRequest(RequestModel):
    """A new upload."""

    bytes: Annotated[int, Field(ge=1, le=2**53)]
    """What the parts will add up to."""
    filename: Annotated[str, StringConstraints(min_length=1, max_length=4 * MAX_NAME)]
    mime_type: Annotated[str, StringConstraints(max_length=255)]
    purpose: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    expires_after: ExpiresAfter | None = None
    """Of the file that it becomes."""


class CompleteRequest(RequestModel):
    """The parts in order, which become the file."""

    part_ids: Annotated[
        list[Annotated[str, StringConstraints(max_length=64)]], Field(min_length=1, max_length=10_000)
    ]
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$")] | None = None


@router.post("")
def create(body: UploadRequest, services: OpenServices, tx: Tx, once: JsonOnce) -> UploadObject:
    """Begin an upload; it can be completed within an hour."""
    check_purpose(body.purpose)
    media_type = body.mime_type.partition(";")[0].strip().lower()
    if media_type not in MIME_TYPES:
        raise bad_request(
            f"mime_type: {media_type[:80]!r} is no training data; supported: {', '.join(MIME_TYPES)}",
            param="mime_type",
            code="unsupported_mime_type",
        )
    if body.bytes > services.settings.max_file_bytes:
        raise ApiError(
            413, file_too_large(services.settings.max_file_bytes).detail, code="file_too_large", param="bytes"
        )
    check_bytes(tx.tenant, body.bytes)
    upload = uploads.create_upload(
        tx.tenant,
        filename=safe_name(body.filename),
        purpose=body.purpose,
        size=body.bytes,
        mime_type=media_type,
        file_lifetime=body.expires_after.seconds if body.expires_after else None,
    )
    return once.keep(upload_object(upload))


@router.post("/{upload_id}/parts", openapi_extra=PART_SCHEMA)
async def add_part(
    upload_id: Identifier, request: Request, services: OpenServices, tx: Tx, once: FormOnce
) -> PartObject:
    """Add a part of at most 64 MB; parts may come in any order and at once."""
    await run_in_threadpool(_check_open, upload_id, services, tx)  # before the body is taken
    async with read_form(request, ("data",)) as form:
        return await run_in_threadpool(_store_part, upload_id, file_field(form, "data"), services, tx, once)


@router.post("/{upload_id}/complete")
def complete(
    upload_id: Identifier, body: CompleteRequest, services: OpenServices, tx: Tx, once: JsonOnce
) -> UploadObject:
    """Join the parts to the file and check it, as files in one request are; said again if it was done."""
    with services.database.session() as session:  # not the request's, which takes no connection until the end
        tenant = Tenant(session, tx.tenant.project_id)
        upload = _the_upload(tenant, upload_id)
        if upload.status == "completed":
            return upload_object(upload, find_file(tenant, upload.file_id or ""))
        parts = _parts(tenant, upload, body.part_ids)
    incoming = Incoming(upload.filename, upload.purpose, upload.bytes, upload.file_lifetime)
    try:
        with open_joined(services.objects, [(part.key, part.bytes) for part in parts]) as stream:
            _check_md5(stream, body.md5)
            checked = store_checked(stream, incoming, services, tx)
    except ObjectNotFound as error:
        _check_open(upload_id, services, tx)  # cancelled or completed by another request meanwhile
        raise ApiError(500, "A part's bytes are gone from object storage", code="object_lost") from error
    with _refusals():
        upload = uploads.complete_upload(tx.tenant, upload_id)
    file = write_row(checked, incoming, tx)
    upload.file_id = file.id
    tx.after_commit(partial(_forget_parts, services, upload_id))
    return once.keep(upload_object(upload, file))


@router.post("/{upload_id}/cancel")
def cancel(upload_id: Identifier, services: OpenServices, tx: Tx) -> UploadObject:
    """Give an upload up; its parts are removed."""
    with _refusals():
        upload = uploads.cancel_upload(tx.tenant, upload_id)
    if upload is None:
        raise not_found("upload", upload_id, param="upload_id")
    tx.after_commit(partial(_forget_parts, services, upload_id))
    return upload_object(upload)


def _store_part(
    upload_id: str, data: UploadFile, services: Services, tx: ProjectTransaction, once: Once
) -> PartObject:
    """Write the object, then the row; without the row the object goes away again."""
    if (data.size or 0) > PART_BYTES:
        raise part_too_large()
    if not data.size:
        raise bad_request("data: is empty; send a part with bytes", param="data", code="invalid_value")
    once.check_form({}, data.file)
    part_id = uploads.new_part_id()
    key = uploads.part_key(upload_id, part_id)
    tx.after_rollback(partial(services.objects.delete, key))
    stored = services.objects.put(key, data.file)
    with _refusals():
        return once.keep(part_object(uploads.add_part(tx.tenant, upload_id, part_id, stored)))


def _the_upload(tenant: Tenant, upload_id: str) -> Upload:
    upload = uploads.find_upload(tenant, upload_id)
    if upload is None:
        raise not_found("upload", upload_id, param="upload_id")
    return upload


def _check_open(upload_id: str, services: Services, tx: ProjectTransaction) -> None:
    """Make sure, in a transaction of its own, that there is such an upload and that it takes parts."""
    with services.database.session() as session, _refusals():
        upload = _the_upload(Tenant(session, tx.tenant.project_id), upload_id)
        uploads.check_open(session, upload)


def _parts(tenant: Tenant, upload: Upload, part_ids: list[str]) -> list[UploadPart]:
    """The parts that a file is to be made of; they have the bytes that were announced."""
    with _refusals():
        uploads.check_open(tenant.session, upload)
        parts = uploads.parts_in_order(tenant, upload, part_ids)
    size = sum(part.bytes for part in parts)
    if size != upload.bytes:
        raise bad_request(
            f"part_ids: the parts have {size:,} bytes, but {upload.bytes:,} were announced; "
            "name all parts, or begin a new upload",
            param="part_ids",
            code="bytes_mismatch",
        )
    return parts


@contextmanager
def _refusals() -> Iterator[None]:
    """What an upload cannot do, as an answer."""
    try:
        yield
    except UploadEnded as error:
        raise bad_request(f"upload_id: {error}", param="upload_id", code="upload_ended") from error
    except TooManyParts as error:
        raise bad_request(f"data: {error}", param="data", code="bytes_mismatch") from error
    except UnknownPart as error:
        raise bad_request(f"part_ids: {error}", param="part_ids", code="part_not_found") from error


def _check_md5(stream: BinaryIO, md5: str | None) -> None:
    """Compare the whole with the hash that the client has, and go back to the beginning."""
    if md5 is None:
        return
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
    stream.seek(0)
    if digest.hexdigest() != md5.lower():
        raise bad_request(
            f"md5: the parts have {digest.hexdigest()}; check their order, or send them again",
            param="md5",
            code="md5_mismatch",
        )


def _forget_parts(services: Services, upload_id: str) -> None:
    """Remove the parts of a closed upload; should this not come to its end, the scheduler does it."""
    with services.database.session() as session:
        parts = uploads.parts_left(session, upload_id=upload_id)
    for part in parts:
        services.objects.delete(part.key)
        with services.database.session() as session:
            uploads.forget_part(session, part.id)
