"""Files on the wire."""

from __future__ import annotations

from typing import Literal

from api.wire.common import Identified, unix
from ist_core.jsonl import FormatName
from store.tables import File


class FileObject(Identified):
    """An uploaded or produced file; `sha256`, `rows` and `format` are ours."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["fine-tune", "fine-tune-results"]
    status: Literal["processed"] = "processed"
    status_details: None = None
    expires_at: None = None
    sha256: str
    rows: int | None
    """Examples in a data file; null for results."""
    format: FormatName | None
    """What the rows of a data file are; null for results."""


def file_object(file: File) -> FileObject:
    """A row as its wire object."""
    return FileObject.model_validate(
        {
            "id": file.id,
            "bytes": file.bytes,
            "created_at": unix(file.created_at),
            "filename": file.filename,
            "purpose": file.purpose,
            "sha256": file.sha256,
            "rows": file.rows,
            "format": None if file.rows is None else file.format,
        }
    )
