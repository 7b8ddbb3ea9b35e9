"""Webhooks: addresses told of the ends of jobs, and what was sent to them."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Identified

EventType = Literal["fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"]


class Webhook(Identified):
    """An endpoint."""

    object: str = "webhook_endpoint"
    created_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    """The secret's last characters, to know it by."""
    job_id: str | None = None
    """The one job whose end it is told of; None: those of all jobs."""


class NewWebhook(Webhook):
    """An endpoint just made. `signing_secret` is shown this once."""

    signing_secret: str


class Delivery(Identified):
    """One event, sent to one endpoint as often as it took."""

    object: str = "webhook_endpoint.delivery"
    created_at: int
    event_type: str
    job_id: str
    status: Literal["pending", "delivered", "failed"] | str
    attempts: int
    attempted_at: int | None = None
    next_attempt_at: int | None = None
    delivered_at: int | None = None
    status_code: int | None = None
    error: str | None = None
