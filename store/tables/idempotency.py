"""Answers that are given again when a request is repeated."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class IdempotencyKey(Base):
    """What a request with an `Idempotency-Key` was answered, written in that request's own transaction."""

    __tablename__ = "idempotency_keys"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    """Whose key asked."""
    route: Mapped[str] = mapped_column(primary_key=True)
    """Method and path."""
    key_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
    fingerprint: Mapped[str]
    """Of the body: another one under the same key is a mistake."""
    answer: Mapped[str]
    """Sealed with the key, which is not kept: it may hold a secret that is shown once."""
