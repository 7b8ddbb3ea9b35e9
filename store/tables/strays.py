"""Objects that no row names: what a process that was killed between a write and its commit left behind."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class StrayObject(Base):
    """An object that no row named when it was looked for; it may be of a transaction that is under way."""

    __tablename__ = "stray_objects"

    key: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
    """When it was seen first."""
