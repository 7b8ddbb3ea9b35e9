"""Uploads: files that come in parts, until they are completed, cancelled or too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from store.ids import new_id
from store.objects import ObjectInfo
from store.quotas import take_bytes
from store.tables import Upload, UploadPart
from store.tenant import Tenant

LIFETIME = timedelta(hours=1)
"""From an upload's creation until it can no longer be completed, as at OpenAI."""
MOST_PARTS = 10_000
SENT_TWICE = 2
"""The parts of an upload may take so many times what was announced: one that seems lost is sent again."""


class UploadEnded(RuntimeError):
    """The upload is no longer open."""

    def __init__(self, upload: Upload) -> None:
        super().__init__(f"upload {upload.id} is {upload.status}; begin a new one")
        self.upload = upload


class TooManyParts(RuntimeError):
    """The parts of an upload are too many, or too large for what was announced."""


class UnknownPart(LookupError):
    """An upload has no such part, or it is named twice."""


def new_part_id() -> str:
    """An id for a part, made before its bytes are stored."""
    return new_id("part")


def part_key(upload_id: str, part_id: str) -> str:
    """Where a part's bytes are in object storage."""
    return f"uploads/{upload_id}.{part_id}"  # no folder of its own, which would be left empty


def create_upload(
    tenant: Tenant, *, filename: str, purpose: str, size: int, mime_type: str, file_lifetime: int | None
) -> Upload:
    """A new upload without parts."""
    upload = Upload(
        id=new_id("upload"),
        project_id=tenant.project_id,
        expires_at=func.now() + LIFETIME,
        filename=filename,
        purpose=purpose,
        bytes=size,
        mime_type=mime_type,
        file_lifetime=file_lifetime,
    )
    tenant.session.add(upload)
    tenant.session.flush()
    tenant.session.refresh(upload)
    return upload


def find_upload(tenant: Tenant, upload_id: str) -> Upload | None:
    """An upload of the project, or None."""
    query = select(Upload).where(Upload.id == upload_id, Upload.project_id == tenant.project_id)
    return tenant.session.scalars(query).one_or_none()


def check_open(session: Session, upload: Upload) -> None:
    """Make sure that an upload takes parts; raises UploadEnded."""
    if upload.status == "pending" and session.scalar(select(upload.expires_at <= func.clock_timestamp())):
        upload.status = "expired"
    if upload.status != "pending":
        raise UploadEnded(upload)


def add_part(tenant: Tenant, upload_id: str, part_id: str, stored: ObjectInfo) -> UploadPart:
    """Write the row of a part whose bytes are stored. Raises UploadEnded, TooManyParts, QuotaExceeded."""
    upload = _lock_open(tenant, upload_id)
    parts, size = tenant.session.execute(
        select(func.count(), func.coalesce(func.sum(UploadPart.bytes), 0)).where(
            UploadPart.upload_id == upload_id
        )
    ).one()
    if parts >= MOST_PARTS or size + stored.bytes > SENT_TWICE * upload.bytes:
        raise TooManyParts(
            f"the {parts + 1} parts of upload {upload_id} have {size + stored.bytes:,} bytes, but "
            f"{upload.bytes:,} were announced (at most {MOST_PARTS:,} parts); begin a new upload"
        )
    take_bytes(tenant, stored.bytes)
    part = UploadPart(id=part_id, upload_id=upload_id, bytes=stored.bytes, key=stored.key)
    tenant.session.add(part)
    tenant.session.flush()
    tenant.session.refresh(part)
    return part


def parts_in_order(tenant: Tenant, upload: Upload, part_ids: Sequence[str]) -> list[UploadPart]:
    """The parts of an upload in the order asked for; raises UnknownPart."""
    query = select(UploadPart).where(UploadPart.upload_id == upload.id)
    parts = {part.id: part for part in tenant.session.scalars(query)}
    found = []
    for part_id in part_ids:
        part = parts.pop(part_id, None)
        if part is None:
            raise UnknownPart(f"no such part, or named twice: {part_id}")
        found.append(part)
    return found


def complete_upload(tenant: Tenant, upload_id: str) -> Upload:
    """Close an upload before its file is made in the same transaction. Raises UploadEnded."""
    upload = _lock_open(tenant, upload_id)
    upload.status = "completed"
    tenant.session.flush()
    return upload


def cancel_upload(tenant: Tenant, upload_id: str) -> Upload | None:
    """Close an upload without a file; None: there is none. Raises UploadEnded if it has one, or expired."""
    upload = find_upload(tenant, upload_id)
    if upload is None or upload.status == "cancelled":
        return upload
    upload = _lock_open(tenant, upload_id)
    upload.status = "cancelled"
    tenant.session.flush()
    return upload


def expire_uploads(session: Session) -> int:
    """Close the uploads whose time is over; how many there were."""
    due = (Upload.status == "pending", Upload.expires_at <= func.clock_timestamp())
    closed = update(Upload).where(*due).values(status="expired").returning(Upload.id)
    return len(session.scalars(closed).all())


def parts_left(session: Session, *, upload_id: str | None = None, limit: int = 1000) -> list[UploadPart]:
    """Parts of uploads that are closed: their bytes are not needed any more."""
    query = select(UploadPart).join(Upload).where(Upload.status != "pending").limit(limit)
    if upload_id is not None:
        query = query.where(Upload.id == upload_id)
    return list(session.scalars(query).all())


def forget_part(session: Session, part_id: str) -> None:
    """Remove the row of a part whose bytes are gone."""
    part = session.get(UploadPart, part_id)
    if part is not None:
        session.delete(part)


def _lock_open(tenant: Tenant, upload_id: str) -> Upload:
    """The upload, which nobody else can change until the transaction ends; raises UploadEnded."""
    query = (
        select(Upload)
        .where(Upload.id == upload_id, Upload.project_id == tenant.project_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    upload = tenant.session.scalars(query).one()
    check_open(tenant.session, upload)
    return upload
