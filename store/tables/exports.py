"""Exports: models in a form for other software, kept for download or pushed to a Hub."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Enum, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class ExportState(enum.StrEnum):
    """An export's state."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Export(Base):
    """A tuned model, or a checkpoint, on its way to another format. `attempt` is the fencing token."""

    __tablename__ = "exports"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    request_id: Mapped[str | None]
    """The `x-request-id` of the answer that made it, which the lines of its logs have."""
    model: Mapped[str]
    """The name of the tuned model, or of the checkpoint's model."""
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    step: Mapped[int | None]
    """The checkpoint's; None: what the job made at its end."""
    format: Mapped[str]
    repo_id: Mapped[str | None]
    """The Hub repository that it is pushed to; None: it is kept here, for download."""
    private: Mapped[bool] = mapped_column(server_default="false")
    """Whether a repository that is made for it is private."""
    hub_token: Mapped[str | None]
    """Sealed (`store.sealing`), and gone when the export has ended."""
    url: Mapped[str | None]
    """Of the commit that the push made."""

    state: Mapped[ExportState] = mapped_column(
        Enum(ExportState, name="export_state", values_callable=lambda states: [one.value for one in states])
    )
    attempt: Mapped[int] = mapped_column(server_default="0")
    losses: Mapped[int] = mapped_column(server_default="0")
    """How many of the attempts ended because their worker or their process was lost."""
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    """When the queue last took a wake-up for it; None: not yet, the scheduler sends it."""
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    progress: Mapped[str | None]
    """What is being done, for a person."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]
    """`{code, message, param}` of one that failed."""

    prefix: Mapped[str | None]
    """Where its files are in object storage; None: nothing is kept."""
    files: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    """`{path, bytes, sha256}` of each; path relative to `prefix`."""
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Of all kept files together."""
    manifest: Mapped[dict[str, Any] | None]
    """What was made and how it was checked (`manifest.json`); None: the adapter as it is."""
    deleted_at: Mapped[datetime | None]
    """Since when it is gone for clients."""
    purged_at: Mapped[datetime | None]
    """Since when its files are gone, too."""

    __table_args__ = (
        # Asked for twice, made once.
        Index(
            "uq_exports_kept",
            "project_id",
            "model",
            "format",
            unique=True,
            postgresql_where="repo_id IS NULL AND deleted_at IS NULL AND NOT cancel_requested "
            "AND state IN ('queued', 'running', 'succeeded')",
        ),
        Index(
            "uq_exports_pushed",
            "project_id",
            "model",
            "format",
            "repo_id",
            unique=True,
            postgresql_where="repo_id IS NOT NULL AND deleted_at IS NULL AND NOT cancel_requested "
            "AND state IN ('queued', 'running')",
        ),
        Index("ix_exports_listed", "project_id", "model", "created_at", "id"),
        Index("ix_exports_job_id", "job_id"),
        Index("ix_exports_line", "created_at", "id", postgresql_where="state = 'queued'"),
        Index("ix_exports_leases", "lease_expires_at", postgresql_where="state = 'running'"),
        Index(
            "ix_exports_bytes",
            "project_id",
            postgresql_include=["bytes"],
            postgresql_where="deleted_at IS NULL AND bytes > 0",
        ),
        Index(
            "ix_exports_unpurged",
            "deleted_at",
            postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
        ),
    )
