"""Files: uploaded data and produced results; the bytes are in object storage."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from ist_core.jsonl import FormatName
from store.ids import new_id
from store.objects import ObjectInfo
from store.paging import Page, UnknownCursor, page_of
from store.quotas import take_bytes
from store.tables import File
from store.tenant import Tenant


def new_file_id() -> str:
    """An id for a file, made before its bytes are stored."""
    return new_id("file")


def file_key(file_id: str) -> str:
    """Where a file's bytes are in object storage."""
    return f"files/{file_id}"


def receive_file(
    tenant: Tenant,
    *,
    file_id: str,
    filename: str,
    purpose: str,
    stored: ObjectInfo,
    rows: int | None = None,
    data_format: FormatName = "chat",
) -> File:
    """Write the row of a client's file, as `create_file`; raises QuotaExceeded."""
    take_bytes(tenant, stored.bytes)
    return create_file(
        tenant.session,
        project_id=tenant.project_id,
        file_id=file_id,
        filename=filename,
        purpose=purpose,
        stored=stored,
        rows=rows,
        data_format=data_format,
    )


def create_file(
    session: Session,
    *,
    project_id: str,
    file_id: str,
    filename: str,
    purpose: str,
    stored: ObjectInfo,
    rows: int | None = None,
    data_format: FormatName = "chat",
) -> File:
    """Write the row of a file whose bytes are stored; `rows` counts the examples of a data file."""
    file = File(
        id=file_id,
        project_id=project_id,
        filename=filename,
        purpose=purpose,
        bytes=stored.bytes,
        sha256=stored.sha256,
        rows=rows,
        format=data_format,
        key=stored.key,
    )
    session.add(file)
    session.flush()
    session.refresh(file)
    return file


def get_file(session: Session, file_id: str) -> File | None:
    """The row of a file that a job names, or None: for workers."""
    return session.get(File, file_id)


def find_file(tenant: Tenant, file_id: str) -> File | None:
    """A file of the project, or None."""
    query = select(File).where(File.id == file_id, File.project_id == tenant.project_id)
    return tenant.session.scalars(query).one_or_none()


def list_files(
    tenant: Tenant,
    *,
    after: str | None = None,
    limit: int = 20,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
) -> Page[File]:
    """A page of the project's files by time of creation.

    Raises UnknownCursor when `after` is none of them.
    """
    position = tuple_(File.created_at, File.id)
    query = select(File).where(File.project_id == tenant.project_id).limit(limit + 1)
    if order == "asc":
        query = query.order_by(File.created_at, File.id)
    else:
        query = query.order_by(File.created_at.desc(), File.id.desc())
    if purpose is not None:
        query = query.where(File.purpose == purpose)
    if after is not None:
        last = find_file(tenant, after)
        if last is None:
            raise UnknownCursor(after)
        edge = (last.created_at, last.id)
        query = query.where(position > edge if order == "asc" else position < edge)
    return page_of(tenant.session.scalars(query).all(), limit)
