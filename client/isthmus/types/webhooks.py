"""Webhooks: addresses told of the ends of jobs, and what was sent to them."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Identified, Lenient

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
    updated_at: int | None = None
    """When its settings or its secret changed last."""
    enabled: bool = True
    job_id: str | None = None
    """The one job whose end it is told of; None: those of all jobs."""


class NewWebhook(Webhook):
    """An endpoint with its new secret; `signing_secret` is shown this once."""

    signing_secret: str


class EventTypes(Lenient):
    """What a webhook can be told of."""

    data: list[str]


class WebhookTest(Lenient):
    """A test that an endpoint has answered, well or not."""

    object: str = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: bool
    delivery_id: str
    """Where the log has it."""


class Delivery(Identified):
    """One event, sent to one endpoint as often as it took."""

    object: str = "webhook_endpoint.delivery"
    created_at: int
    event_type: str
    job_id: str | None = None
    """None: a test."""
    status: Literal["pending", "delivered", "failed"] | str
    attempts: int
    attempted_at: int | None = None
    next_attempt_at: int | None = None
    delivered_at: int | None = None
    status_code: int | None = None
    error: str | None = None
