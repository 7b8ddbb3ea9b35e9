"""`client.checkpoints`: the checkpoints of a job."""

from __future__ import annotations

from isthmus.resources import job_requests as requests
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Page
from isthmus.types.jobs import Checkpoint


class Checkpoints(Resource):
    """Checkpoints of jobs."""

    def list(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Pages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])


class AsyncCheckpoints(AsyncResource):
    """Checkpoints of jobs."""

    def list(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])
