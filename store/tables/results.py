"""What a job leaves behind: checkpoints and tuned models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class Checkpoint(Base):
    """A checkpoint of a job, as objects under `prefix`; an attempt that makes its step again replaces it."""

    __tablename__ = "checkpoints"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    """The job's: a project's bytes are added up without a look at its jobs."""
    step: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempt: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    """The step's, as in its record."""
    prefix: Mapped[str]
    files: Mapped[list[dict[str, Any]]]
    """Every object under `prefix`: `{path, bytes, sha256}`, path relative to it."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all files together."""
    resumable: Mapped[bool] = mapped_column(server_default="true")
    """Whether all that a run needs to go on is there; False: the adapter alone is kept."""

    __table_args__ = (
        UniqueConstraint("job_id", "step"),
        Index("ix_checkpoints_project_id", "project_id", postgresql_include=["bytes"]),
    )


class TunedModel(Base):
    """A model that a job made: a base model's name and an adapter under `prefix` in object storage."""

    __tablename__ = "tuned_models"

    id: Mapped[str] = mapped_column(primary_key=True)
    """`ft:BASE:ORG:SUFFIX:ID`, the name that `fine_tuned_model` shows."""
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    base_model: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    prefix: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all artifacts together."""
    artifacts: Mapped[list[dict[str, Any]]]
    """Every object under `prefix`: `{path, bytes, sha256}`, path relative to it."""
    deleted_at: Mapped[datetime | None]
    """Since when it is gone for clients; the row stays for its job."""
    purged_at: Mapped[datetime | None]
    """Since when its artifacts are gone, too."""

    __table_args__ = (
        Index(
            "ix_tuned_models_unpurged",
            "deleted_at",
            postgresql_where="deleted_at IS NOT NULL AND purged_at IS NULL",
        ),
    )
