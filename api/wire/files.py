"""Files on the wire."""

from __future__ import annotations

from typing import Literal

from isthmus.dataset.rows import ContainerName, FormatName

from api.wire.common import Identified, WireModel, unix, unix_or_none
from store.tables import File


class FileWarning(WireModel):
    """Something to look at again; the file can be used as it is."""

    line: int | None
    """From 1; in Parquet the row."""
    path: str
    reason: str


class Validation(WireModel):
    """What the check of a data file found."""

    rows: int
    duplicates: int
    """Rows that are the same as one before them."""
    warnings: list[FileWarning]
    """The first 20."""
    total_warnings: int
    sha256: str


class FileObject(Identified):
    """An uploaded or produced file; from `sha256` on, the fields are ours, and null for results."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["fine-tune", "fine-tune-results"]
    status: Literal["processed"] = "processed"
    status_details: None = None
    expires_at: int | None
    sha256: str
    rows: int | None
    """Examples in a data file."""
    format: FormatName | None
    """What the rows of a data file are."""
    container: ContainerName | None
    """How they are written."""
    validation: Validation | None


class DeletedFile(WireModel):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def file_object(file: File) -> FileObject:
    """A row as its wire object."""
    return FileObject.model_validate(
        {
            "id": file.id,
            "bytes": file.bytes,
            "created_at": unix(file.created_at),
            "filename": file.filename,
            "purpose": file.purpose,
            "expires_at": unix_or_none(file.expires_at),
            "sha256": file.sha256,
            "rows": file.rows,
            "format": None if file.rows is None else file.format,
            "container": file.container,
            "validation": file.validation and {**file.validation, "sha256": file.sha256},
        }
    )
