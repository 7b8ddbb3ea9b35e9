"""`client.workers`: the worker processes of the service."""

from __future__ import annotations

from isthmus.core.request import get
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Page
from isthmus.types.workers import Worker

PATH = "/v1/fine_tuning/workers"


class Workers(Resource):
    """Workers, also those that work for other projects."""

    def list(self) -> Pages[Worker]:
        """Every worker, with its device, memory, state and job."""
        return self._list(get(PATH), Page[Worker])


class AsyncWorkers(AsyncResource):
    """Workers, also those that work for other projects."""

    def list(self) -> AsyncPages[Worker]:
        """Every worker, with its device, memory, state and job."""
        return self._list(get(PATH), Page[Worker])
