"""Files and the uploads that become files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class File(Base):
    """An uploaded or produced file; its bytes are the object `key`."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    rows: Mapped[int | None]
    """Examples in a data file; None for results."""
    format: Mapped[str] = mapped_column(server_default="chat")
    """What the rows of a data file are (`ist_core.rows.FormatName`); says nothing of results."""
    container: Mapped[str | None]
    """`jsonl`, `csv` or `parquet`; None for results."""
    validation: Mapped[dict[str, Any] | None]
    """What the check found: `{rows, duplicates, warnings: [{line, path, reason}], total_warnings}`."""
    key: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    """Since when it is gone for clients; the row stays for the jobs that name it."""
    purged_at: Mapped[datetime | None]
    """Since when its bytes are gone, too."""

    __table_args__ = (
        Index("ix_files_project_id_created_at_id", "project_id", "created_at", "id"),
        Index(
            "ix_files_expires_at",
            "expires_at",
            postgresql_where="expires_at IS NOT NULL AND deleted_at IS NULL",
        ),
        Index(
            "ix_files_unpurged",
            "deleted_at",
            postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
        ),
    )


class Upload(Base):
    """A file that comes in parts: `pending`, then `completed`, `cancelled` or `expired`."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="pending")
    filename: Mapped[str]
    purpose: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    """What its parts must add up to, as announced."""
    mime_type: Mapped[str]
    file_lifetime: Mapped[int | None]
    """Seconds from the file's creation to its end; None: it stays."""
    file_id: Mapped[str | None] = mapped_column(ForeignKey("files.id"))
    """The file that it became."""

    __table_args__ = (Index("ix_uploads_pending", "expires_at", postgresql_where="status = 'pending'"),)


class UploadPart(Base):
    """A part of an upload; its bytes are the object `key`. The row goes when the bytes are gone."""

    __tablename__ = "upload_parts"

    id: Mapped[str] = mapped_column(primary_key=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
