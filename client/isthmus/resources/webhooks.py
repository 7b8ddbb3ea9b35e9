"""`client.webhooks`: addresses that are told of the ends of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.request import Request, delete, get, part, post, told
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Deleted, Page
from isthmus.types.webhooks import Delivery, EventType, EventTypes, NewWebhook, Webhook, WebhookTest

PATH = "/v1/webhooks"


class Webhooks(Resource):
    """Endpoints of the key's project."""

    def create(
        self, *, url: str, name: str | None = None, event_types: Sequence[EventType] | None = None
    ) -> NewWebhook:
        """Add an endpoint, for all ends of jobs or for some; its `signing_secret` is shown this once."""
        return self._fetch(_create(url, name, event_types), NewWebhook)

    def list(self, *, after: str | None = None, limit: int | None = None) -> Pages[Webhook]:
        """Endpoints, page by page."""
        return self._list(get(PATH, after=after, limit=limit), Page[Webhook])

    def retrieve(self, webhook_id: str) -> Webhook:
        """One endpoint."""
        return self._fetch(get(_path(webhook_id)), Webhook)

    def update(
        self,
        webhook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        event_types: Sequence[EventType] | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Change what is not None; with `enabled=False` nothing more is sent."""
        return self._fetch(_update(webhook_id, name, url, event_types, enabled), Webhook)

    def rotate_secret(
        self, webhook_id: str, *, keep_old_secret_active_for_24_hours: bool = False
    ) -> NewWebhook:
        """Give an endpoint a new secret; the old one may sign, too, for a day."""
        return self._fetch(_rotate(webhook_id, keep_old_secret_active_for_24_hours), NewWebhook)

    def test(self, webhook_id: str, *, event_type: EventType) -> WebhookTest:
        """Send a sample event, once, and tell what was answered."""
        return self._fetch(_test(webhook_id, event_type), WebhookTest)

    def delete(self, webhook_id: str) -> Deleted:
        """Remove an endpoint, with all that is on its way to it."""
        return self._fetch(delete(_path(webhook_id)), Deleted)

    def deliveries(
        self, webhook_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Pages[Delivery]:
        """What was sent to an endpoint, and what it answered."""
        return self._list(get(f"{_path(webhook_id)}/deliveries", after=after, limit=limit), Page[Delivery])

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send an event again, whether it was taken, given up, or waits."""
        return self._fetch(_redeliver(webhook_id, delivery_id), Delivery)

    def event_types(self) -> Sequence[str]:
        """What a webhook can be told of."""
        return (self._fetch(get("/v1/webhook_event_types"), EventTypes)).data


class AsyncWebhooks(AsyncResource):
    """Endpoints of the key's project."""

    async def create(
        self, *, url: str, name: str | None = None, event_types: Sequence[EventType] | None = None
    ) -> NewWebhook:
        """Add an endpoint, for all ends of jobs or for some; its `signing_secret` is shown this once."""
        return await self._fetch(_create(url, name, event_types), NewWebhook)

    def list(self, *, after: str | None = None, limit: int | None = None) -> AsyncPages[Webhook]:
        """Endpoints, page by page."""
        return self._list(get(PATH, after=after, limit=limit), Page[Webhook])

    async def retrieve(self, webhook_id: str) -> Webhook:
        """One endpoint."""
        return await self._fetch(get(_path(webhook_id)), Webhook)

    async def update(
        self,
        webhook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        event_types: Sequence[EventType] | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Change what is not None; with `enabled=False` nothing more is sent."""
        return await self._fetch(_update(webhook_id, name, url, event_types, enabled), Webhook)

    async def rotate_secret(
        self, webhook_id: str, *, keep_old_secret_active_for_24_hours: bool = False
    ) -> NewWebhook:
        """Give an endpoint a new secret; the old one may sign, too, for a day."""
        return await self._fetch(_rotate(webhook_id, keep_old_secret_active_for_24_hours), NewWebhook)

    async def test(self, webhook_id: str, *, event_type: EventType) -> WebhookTest:
        """Send a sample event, once, and tell what was answered."""
        return await self._fetch(_test(webhook_id, event_type), WebhookTest)

    async def delete(self, webhook_id: str) -> Deleted:
        """Remove an endpoint, with all that is on its way to it."""
        return await self._fetch(delete(_path(webhook_id)), Deleted)

    def deliveries(
        self, webhook_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[Delivery]:
        """What was sent to an endpoint, and what it answered."""
        return self._list(get(f"{_path(webhook_id)}/deliveries", after=after, limit=limit), Page[Delivery])

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send an event again, whether it was taken, given up, or waits."""
        return await self._fetch(_redeliver(webhook_id, delivery_id), Delivery)

    async def event_types(self) -> Sequence[str]:
        """What a webhook can be told of."""
        return (await self._fetch(get("/v1/webhook_event_types"), EventTypes)).data


def _path(webhook_id: str) -> str:
    return f"{PATH}/{part(webhook_id)}"


def _create(url: str, name: str | None, event_types: Sequence[EventType] | None) -> Request:
    types = None if event_types is None else list(event_types)
    return post(PATH, told(url=url, name=name, event_types=types))


def _update(
    webhook_id: str,
    name: str | None,
    url: str | None,
    event_types: Sequence[EventType] | None,
    enabled: bool | None,
) -> Request:
    types = None if event_types is None else list(event_types)
    return post(_path(webhook_id), told(name=name, url=url, event_types=types, enabled=enabled))


def _rotate(webhook_id: str, keep_old: bool) -> Request:
    return post(f"{_path(webhook_id)}/rotate_secret", {"keep_old_secret_active_for_24_hours": keep_old})


def _test(webhook_id: str, event_type: str) -> Request:
    return post(f"{_path(webhook_id)}/test", {"event_type": event_type})


def _redeliver(webhook_id: str, delivery_id: str) -> Request:
    return post(f"{_path(webhook_id)}/deliveries/{part(delivery_id)}/redeliver")
