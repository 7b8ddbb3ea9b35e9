"""Webhooks on the wire, as OpenAI's `webhook_endpoint`, and the log of what was sent to them (ours)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints, field_validator

from api.wire.common import ChangeModel, Identified, RequestModel, WireModel, unix, unix_or_none
from store.addresses import MAX_URL
from store.tables import Webhook, WebhookDelivery
from store.webhooks import EVENT_TYPES, SECRET_PREFIX, EventType

MIN_SECRET_BYTES = 24
SECRET_PATTERN = f"^{SECRET_PREFIX}([A-Za-z0-9+/]{{4}}){{8,}}$"
"""For the specification: what every secret of whole base64 quads looks like; padded ones are taken, too."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]*$")]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL)]


class WebhookRequest(RequestModel):
    """A new endpoint, for all jobs of the key's project."""

    name: Name = "webhook"
    url: Url
    """`https://` and a public address; its name is looked up again for each delivery."""
    event_types: list[EventType] = Field(default_factory=lambda: list(EVENT_TYPES), min_length=1)


class WebhookUpdate(ChangeModel):
    """Changes of an endpoint."""

    name: Name | None = None
    url: Url | None = None
    event_types: Annotated[list[EventType], Field(min_length=1)] | None = None
    enabled: bool | None = None
    """false: nothing more is sent, and what was on its way is given up."""


class SecretRotation(RequestModel):
    """What becomes of the secret before."""

    keep_old_secret_active_for_24_hours: bool = False
    """Deliveries are then signed with both, so that the endpoint can be changed meanwhile."""


class WebhookTest(RequestModel):
    """What a test tells of."""

    event_type: EventType


class JobWebhook(RequestModel):
    """An endpoint for the end of one job. You bring the secret: a job has no place to show one."""

    url: Url
    secret: Annotated[SecretStr, Field(json_schema_extra={"pattern": SECRET_PATTERN})]
    """`whsec_` and at least 24 bytes in base64; never shown again."""

    @field_validator("secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        try:
            size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not text.startswith(SECRET_PREFIX) or size < MIN_SECRET_BYTES:
            raise ValueError(f"must be {SECRET_PREFIX} and at least {MIN_SECRET_BYTES} bytes in base64")
        return value


class WebhookObject(Identified):
    """An endpoint."""

    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: int
    name: str
    url: str
    event_types: list[str]
    signing_secret_hint: str
    """The secret's last characters, to know it by."""
    updated_at: int
    """When its settings or its secret changed last."""
    enabled: bool
    job_id: str | None
    """The one job whose end it is told of; null: those of all jobs."""


class NewWebhookObject(WebhookObject):
    """An endpoint with its new secret."""

    signing_secret: str
    """Shown this once; `client.webhooks.unwrap(body, headers, secret=...)` takes it."""


class EventTypeList(WireModel):
    """What a webhook can be told of."""

    object: Literal["list"] = "list"
    data: list[str]


class WebhookDeleted(WireModel):
    """An endpoint that is gone, with all that was on its way to it."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class WebhookTestObject(WireModel):
    """A test that an endpoint has answered, well or not."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True
    delivery_id: str
    """Where the log has it."""


class DeliveryObject(WireModel):
    """One event, sent to one endpoint as often as it took."""

    id: str
    """The header `webhook-id` of all its attempts."""
    object: Literal["webhook_endpoint.delivery"] = "webhook_endpoint.delivery"
    created_at: int
    event_type: str
    job_id: str | None
    """null: a test."""
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    attempted_at: int | None
    next_attempt_at: int | None
    delivered_at: int | None
    status_code: int | None
    """Of the last answer; null: there was none."""
    error: str | None
    """What was wrong with the last attempt."""


def webhook_object(webhook: Webhook) -> WebhookObject:
    """A row as its wire object."""
    return WebhookObject(
        id=webhook.id,
        created_at=unix(webhook.created_at),
        name=webhook.name,
        url=webhook.url,
        event_types=webhook.event_types,
        signing_secret_hint=f"{SECRET_PREFIX}...{webhook.secret[-4:]}",
        updated_at=unix(webhook.updated_at),
        enabled=webhook.enabled,
        job_id=webhook.job_id,
    )


def delivery_object(delivery: WebhookDelivery) -> DeliveryObject:
    """A row as its wire object."""
    waits = delivery.next_attempt_at is not None
    return DeliveryObject(
        id=delivery.id,
        created_at=unix(delivery.created_at),
        event_type=delivery.event_type,
        job_id=delivery.job_id,
        status="pending" if waits else "failed" if delivery.delivered_at is None else "delivered",
        attempts=delivery.attempts,
        attempted_at=unix_or_none(delivery.attempted_at),
        next_attempt_at=unix_or_none(delivery.next_attempt_at),
        delivered_at=unix_or_none(delivery.delivered_at),
        status_code=delivery.status_code,
        error=delivery.error,
    )
