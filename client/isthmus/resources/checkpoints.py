"""`client.checkpoints`: the checkpoints of a job."""

from __future__ import annotations

from pathlib import Path

from isthmus.core.download import save
from isthmus.resources import job_requests as requests
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Deleted, Page
from isthmus.types.jobs import Checkpoint


class Checkpoints(Resource):
    """Checkpoints of jobs."""

    def list(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Pages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])

    def archive(self, job_id: str, checkpoint_id: str, path: str | Path) -> Path:
        """Save a checkpoint's adapter, which PEFT loads as it is, as one tar at `path`."""
        request = requests.checkpoint_archive(job_id, checkpoint_id)
        return self._driver.run(save(request, Path(path), self._driver.options.retries))

    def delete(self, job_id: str, checkpoint_id: str) -> Deleted:
        """Delete a checkpoint of a job that has ended. Raises BadRequest while it has not."""
        return self._fetch(requests.delete_checkpoint(job_id, checkpoint_id), Deleted)


class AsyncCheckpoints(AsyncResource):
    """Checkpoints of jobs."""

    def list(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])

    async def archive(self, job_id: str, checkpoint_id: str, path: str | Path) -> Path:
        """Save a checkpoint's adapter, which PEFT loads as it is, as one tar at `path`."""
        request = requests.checkpoint_archive(job_id, checkpoint_id)
        return await self._driver.run(save(request, Path(path), self._driver.options.retries))

    async def delete(self, job_id: str, checkpoint_id: str) -> Deleted:
        """Delete a checkpoint of a job that has ended. Raises BadRequest while it has not."""
        return await self._fetch(requests.delete_checkpoint(job_id, checkpoint_id), Deleted)
