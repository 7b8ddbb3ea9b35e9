"""Webhooks and what is on its way to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base


class Webhook(Base):
    """An address that is told of the ends of a project's jobs, or of one of them."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    """None: of all the project's jobs."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    name: Mapped[str]
    url: Mapped[str]
    event_types: Mapped[list[str]]
    secret: Mapped[str]
    """`whsec_` and base64: what is signed with it must have it whole, so it cannot be kept as a hash."""
    enabled: Mapped[bool] = mapped_column(server_default="true")
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    old_secret: Mapped[str | None]
    """The one before the last rotation, which signs as well until `old_secret_until`."""
    old_secret_until: Mapped[datetime | None]

    __table_args__ = (Index("ix_webhooks_project_id_created_at_id", "project_id", "created_at", "id"),)


class WebhookDelivery(Base):
    """An event on its way to a webhook; its id is the same in every attempt, so a repeat can be told."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    """None: a test, which is tried once."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    event_type: Mapped[str]
    body: Mapped[str]
    """The very text that is signed and sent."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempted_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    """None: delivered, or given up."""
    delivered_at: Mapped[datetime | None]
    status_code: Mapped[int | None]
    """Of the last answer; None: there was none."""
    error: Mapped[str | None]

    __table_args__ = (
        Index("ix_webhook_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_webhook_deliveries_due", "next_attempt_at", postgresql_where="next_attempt_at IS NOT NULL"),
    )
