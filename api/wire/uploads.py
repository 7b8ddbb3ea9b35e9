"""Uploads in parts on the wire, as OpenAI has them."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel, unix
from api.wire.files import FileObject, file_object
from store.tables import File, Upload, UploadPart


class UploadObject(WireModel):
    """A file that comes in parts."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    """What its parts must add up to."""
    created_at: int
    expires_at: int
    """Until when it can be completed."""
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None
    """What it became, once it is completed (null again when that file is deleted)."""


class PartObject(WireModel):
    """A part of an upload."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


def upload_object(upload: Upload, file: File | None = None) -> UploadObject:
    """A row as its wire object."""
    return UploadObject.model_validate(
        {
            "id": upload.id,
            "bytes": upload.bytes,
            "created_at": unix(upload.created_at),
            "expires_at": unix(upload.expires_at),
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": upload.status,
            "file": None if file is None else file_object(file),
        }
    )


def part_object(part: UploadPart) -> PartObject:
    """A row as its wire object."""
    return PartObject(id=part.id, created_at=unix(part.created_at), upload_id=part.upload_id)
