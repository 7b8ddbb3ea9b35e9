"""Projects and their keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class Project(Base):
    """A tenant: whose the files, jobs, models and keys are, and how much it may have (None: no limit)."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    archived_at: Mapped[datetime | None]
    """Since when its keys are refused; its rows stay."""
    max_jobs: Mapped[int | None]
    """Jobs queued and running at once."""
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_minutes: Mapped[int | None]
    """Minutes of training in a calendar month (UTC)."""
    max_requests_per_minute: Mapped[int | None]
    """Of each of its keys; None: the service's own limit."""


class ApiKey(Base):
    """A key of a project; only its SHA-256 is kept, for a key has all the entropy that it needs."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    prefix: Mapped[str]
    """The key's first characters, to know it by."""
    sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""

    __table_args__ = (Index("ix_api_keys_project_id_created_at_id", "project_id", "created_at", "id"),)
