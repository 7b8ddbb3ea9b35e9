"""Files: uploaded data and produced results; the bytes are in object storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

from isthmus.dataset.formats import DatasetSummary
from sqlalchemy import Interval, Select, cast, func, or_, select, tuple_
from sqlalchemy.orm import Session

from store.ids import new_id
from store.objects import ObjectInfo
from store.paging import Page, UnknownCursor, page_of
from store.quotas import take_bytes
from store.tables import File, Job
from store.tables.jobs import LIVE
from store.tenant import Tenant


class FileInUse(RuntimeError):
    """A job that has not ended reads the file; nothing was changed."""

    def __init__(self, file_id: str, job_id: str) -> None:
        super().__init__(f"file {file_id} is used by job {job_id}, which has not ended; cancel it first")


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
    contents: DatasetSummary | None = None,
    lifetime: int | None = None,
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
        contents=contents,
        lifetime=lifetime,
    )


def create_file(
    session: Session,
    *,
    project_id: str,
    file_id: str,
    filename: str,
    purpose: str,
    stored: ObjectInfo,
    contents: DatasetSummary | None = None,
    lifetime: int | None = None,
) -> File:
    """Write the row of a file whose bytes are stored.

    Args:
        contents: what the check of a data file found; None: it is no data.
        lifetime: seconds until it expires; None: it stays.
    """
    file = File(
        id=file_id,
        project_id=project_id,
        filename=filename,
        purpose=purpose,
        bytes=stored.bytes,
        sha256=stored.sha256,
        key=stored.key,
        expires_at=None if lifetime is None else func.now() + cast(f"{lifetime} seconds", Interval),
    )
    if contents is not None:
        file.rows, file.format, file.container = contents.rows, contents.format, contents.container
        file.validation = _findings(contents)
    session.add(file)
    session.flush()
    session.refresh(file)
    return file


def get_file(session: Session, file_id: str) -> File | None:
    """The row of a file that a job names, or None: for workers."""
    return session.get(File, file_id)


def find_file(tenant: Tenant, file_id: str) -> File | None:
    """A file of the project that is not deleted, or None."""
    return tenant.session.scalars(_of(tenant).where(File.id == file_id)).one_or_none()


def take_file(tenant: Tenant, file_id: str) -> File | None:
    """As `find_file`, for a job that this transaction creates: until it ends, nobody can delete the file."""
    query = _of(tenant).where(File.id == file_id).with_for_update(read=True, key_share=True)
    return tenant.session.scalars(query).one_or_none()


def delete_file(tenant: Tenant, file_id: str) -> File | None:
    """Mark a file of the project as deleted; None: there is none. Raises FileInUse.

    Its bytes can go once this is committed; `unpurged_files` has it until `mark_purged`.
    """
    file = tenant.session.scalars(_of(tenant).where(File.id == file_id).with_for_update()).one_or_none()
    if file is None:
        return None
    used = tenant.session.execute(_uses([file_id]).limit(1)).first()
    if used is not None:
        raise FileInUse(file_id, used.id)
    file.deleted_at = func.clock_timestamp()
    tenant.session.flush()
    return file


def expire_files(session: Session, *, limit: int = 100) -> list[str]:
    """Mark files whose time is over as deleted, those that no live job uses; their ids."""
    due = (
        select(File)
        .where(File.expires_at <= func.clock_timestamp(), File.deleted_at.is_(None))
        .where(~_uses_of_row().exists())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    files = session.scalars(due).all()
    # Asked again under the locks: a job may have been committed since the first look.
    used = {
        file_id
        for job in session.execute(_uses([file.id for file in files]))
        for file_id in (job.training_file, job.validation_file)
    }
    expired = [file for file in files if file.id not in used]
    for file in expired:
        file.deleted_at = func.clock_timestamp()
    session.flush()
    return [file.id for file in expired]


def unpurged_files(session: Session, *, limit: int = 100) -> list[File]:
    """Deleted files whose bytes may still be there."""
    query = select(File).where(File.deleted_at.is_not(None), File.purged_at.is_(None)).limit(limit)
    return list(session.scalars(query).all())


def mark_purged(session: Session, file_id: str) -> None:
    """Note that a deleted file's bytes are gone."""
    file = session.get_one(File, file_id)
    file.purged_at = func.clock_timestamp()


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
    query = _of(tenant).limit(limit + 1)
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


def _of(tenant: Tenant) -> Select[File]:
    return select(File).where(File.project_id == tenant.project_id, File.deleted_at.is_(None))


def _live_jobs() -> Select[str, str, str | None]:
    return select(Job.id, Job.training_file, Job.validation_file).where(LIVE)


def _uses(file_ids: Iterable[str]) -> Select[str, str, str | None]:
    """The jobs that have not ended and read one of the files."""
    ids = list(file_ids)
    return _live_jobs().where(or_(Job.training_file.in_(ids), Job.validation_file.in_(ids)))


def _uses_of_row() -> Select[str, str, str | None]:
    """The same for the file that a query on files looks at."""
    return _live_jobs().where(or_(Job.training_file == File.id, Job.validation_file == File.id))


def _findings(contents: DatasetSummary) -> dict[str, Any]:
    return {
        "rows": contents.rows,
        "duplicates": contents.duplicates,
        "warnings": [asdict(warning) for warning in contents.warnings],
        "total_warnings": contents.total_warnings,
    }
