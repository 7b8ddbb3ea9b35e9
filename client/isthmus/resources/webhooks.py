"""`client.webhooks`: addresses that are told of the ends of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.request import Request, delete, get, part, post, told
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Deleted, Page
from isthmus.types.webhooks import Delivery, EventType, NewWebhook, Webhook

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

    def delete(self, webhook_id: str) -> Deleted:
        """Remove an endpoint, with all that is on its way to it."""
        return self._fetch(delete(_path(webhook_id)), Deleted)

    def deliveries(
        self, webhook_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Pages[Delivery]:
        """What was sent to an endpoint, and what it answered."""
        return self._list(get(f"{_path(webhook_id)}/deliveries", after=after, limit=limit), Page[Delivery])


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

    async def delete(self, webhook_id: str) -> Deleted:
        """Remove an endpoint, with all that is on its way to it."""
        return await self._fetch(delete(_path(webhook_id)), Deleted)

    def deliveries(
        self, webhook_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[Delivery]:
        """What was sent to an endpoint, and what it answered."""
        return self._list(get(f"{_path(webhook_id)}/deliveries", after=after, limit=limit), Page[Delivery])


def _path(webhook_id: str) -> str:
    return f"{PATH}/{part(webhook_id)}"


def _create(url: str, name: str | None, event_types: Sequence[EventType] | None) -> Request:
    types = None if event_types is None else list(event_types)
    return post(PATH, told(url=url, name=name, event_types=types))
