"""`client.models.exports`: models in the formats of other software, for download or on a Hub."""

from __future__ import annotations

from typing import Unpack

from isthmus.async_export import AsyncExport
from isthmus.resources import export_requests as requests
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.sync_export import Export
from isthmus.types.base import Deleted, Page
from isthmus.types.exports import ExportParams


class Exports(Resource):
    """Exports of tuned models and of checkpoints."""

    def create(self, model: str, **params: Unpack[ExportParams]) -> Export:
        """Export a model: `format`, and a `destination` if it goes to a Hub.

        What is there or under way in this format is returned, and not made again.
        """
        return self._fetch(requests.create(model, params), Export)

    def list(self, model: str, *, after: str | None = None, limit: int | None = None) -> Pages[Export]:
        """A model's exports, newest first."""
        return self._list(requests.list_all(model, after, limit), Page[Export])

    def retrieve(self, model: str, export_id: str) -> Export:
        """One export as it is now."""
        return self._fetch(requests.one(model, export_id), Export)

    def cancel(self, model: str, export_id: str) -> Export:
        """Cancel an export: at once while queued, else its worker stops it."""
        return self._fetch(requests.cancel(model, export_id), Export)

    def delete(self, model: str, export_id: str) -> Deleted:
        """Delete an export with its files; one that is under way is cancelled."""
        return self._fetch(requests.delete_one(model, export_id), Deleted)


class AsyncExports(AsyncResource):
    """Exports of tuned models and of checkpoints."""

    async def create(self, model: str, **params: Unpack[ExportParams]) -> AsyncExport:
        """Export a model: `format`, and a `destination` if it goes to a Hub.

        What is there or under way in this format is returned, and not made again.
        """
        return await self._fetch(requests.create(model, params), AsyncExport)

    def list(
        self, model: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[AsyncExport]:
        """A model's exports, newest first."""
        return self._list(requests.list_all(model, after, limit), Page[AsyncExport])

    async def retrieve(self, model: str, export_id: str) -> AsyncExport:
        """One export as it is now."""
        return await self._fetch(requests.one(model, export_id), AsyncExport)

    async def cancel(self, model: str, export_id: str) -> AsyncExport:
        """Cancel an export: at once while queued, else its worker stops it."""
        return await self._fetch(requests.cancel(model, export_id), AsyncExport)

    async def delete(self, model: str, export_id: str) -> Deleted:
        """Delete an export with its files; one that is under way is cancelled."""
        return await self._fetch(requests.delete_one(model, export_id), Deleted)
