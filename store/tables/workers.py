"""Worker processes that are at work, or were a moment ago."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class Worker(Base):
    """A worker process, which writes its row every few seconds; which job it has, the jobs say."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    """`host:pid`, which its jobs have as `worker`."""
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime]
    stopping: Mapped[bool] = mapped_column(server_default="false")
    device: Mapped[str]
    """`cuda` or `cpu`."""
    device_name: Mapped[str]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of the device; None: not known."""
    memory_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """By whoever uses it."""
