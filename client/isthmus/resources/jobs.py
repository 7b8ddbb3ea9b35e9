"""`client.jobs`: fine-tuning jobs."""

from __future__ import annotations

from typing import Unpack

from isthmus.async_job import AsyncJob
from isthmus.resources import job_requests as requests
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.sync_job import Job
from isthmus.types.base import Page
from isthmus.types.jobs import Checkpoint, JobEvent, Sample
from isthmus.types.params import JobListParams, JobParams, SampleParams
from isthmus.types.plan import Plan, PlanParams


class Jobs(Resource):
    """Jobs of the key's project."""

    def create(self, **params: Unpack[JobParams]) -> Job:
        """Create a job: `model` and `training_file`, and whatever is to be as you say.

        Raises BadRequest; its `param` names the field at fault.
        """
        return self._fetch(requests.create(params), Job)

    def plan(self, **params: Unpack[PlanParams]) -> Plan:
        """What a job would need, without creating it: memory by part, time, and whether it fits.

        Takes what `create` takes, and a `device` or a budget of `memory_bytes`.
        """
        return self._fetch(requests.plan(params), Plan)

    def list(self, **params: Unpack[JobListParams]) -> Pages[Job]:
        """Jobs, newest first: all, or those of some `state`, `model`, `metadata` or with a text in them."""
        return self._list(requests.list_all(params), Page[Job])

    def retrieve(self, job_id: str) -> Job:
        """One job as it is now."""
        return self._fetch(requests.one(job_id), Job)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: at once while queued, else its worker stops it."""
        return self._fetch(requests.cancel(job_id), Job)

    def pause(self, job_id: str) -> Job:
        """Pause a job: at once while queued, else after a checkpoint."""
        return self._fetch(requests.pause(job_id), Job)

    def resume(self, job_id: str) -> Job:
        """Let a paused job go on when its turn comes."""
        return self._fetch(requests.resume(job_id), Job)

    def events(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Pages[JobEvent]:
        """A job's log, newest first."""
        return self._list(requests.events(job_id, after, limit), Page[JobEvent])

    def checkpoints(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> Pages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])

    def samples(self, job_id: str, **params: Unpack[SampleParams]) -> Pages[Sample]:
        """Rows of a job's validation file with the answers of the base model and of the tuned one."""
        return self._list(requests.samples(job_id, params), Page[Sample])


class AsyncJobs(AsyncResource):
    """Jobs of the key's project."""

    async def create(self, **params: Unpack[JobParams]) -> AsyncJob:
        """Create a job: `model` and `training_file`, and whatever is to be as you say.

        Raises BadRequest; its `param` names the field at fault.
        """
        return await self._fetch(requests.create(params), AsyncJob)

    async def plan(self, **params: Unpack[PlanParams]) -> Plan:
        """What a job would need, without creating it: memory by part, time, and whether it fits.

        Takes what `create` takes, and a `device` or a budget of `memory_bytes`.
        """
        return await self._fetch(requests.plan(params), Plan)

    def list(self, **params: Unpack[JobListParams]) -> AsyncPages[AsyncJob]:
        """Jobs, newest first: all, or those of some `state`, `model`, `metadata` or with a text in them."""
        return self._list(requests.list_all(params), Page[AsyncJob])

    async def retrieve(self, job_id: str) -> AsyncJob:
        """One job as it is now."""
        return await self._fetch(requests.one(job_id), AsyncJob)

    async def cancel(self, job_id: str) -> AsyncJob:
        """Cancel a job: at once while queued, else its worker stops it."""
        return await self._fetch(requests.cancel(job_id), AsyncJob)

    async def pause(self, job_id: str) -> AsyncJob:
        """Pause a job: at once while queued, else after a checkpoint."""
        return await self._fetch(requests.pause(job_id), AsyncJob)

    async def resume(self, job_id: str) -> AsyncJob:
        """Let a paused job go on when its turn comes."""
        return await self._fetch(requests.resume(job_id), AsyncJob)

    def events(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[JobEvent]:
        """A job's log, newest first."""
        return self._list(requests.events(job_id, after, limit), Page[JobEvent])

    def checkpoints(
        self, job_id: str, *, after: str | None = None, limit: int | None = None
    ) -> AsyncPages[Checkpoint]:
        """A job's checkpoints, newest first."""
        return self._list(requests.checkpoints(job_id, after, limit), Page[Checkpoint])

    def samples(self, job_id: str, **params: Unpack[SampleParams]) -> AsyncPages[Sample]:
        """Rows of a job's validation file with the answers of the base model and of the tuned one."""
        return self._list(requests.samples(job_id, params), Page[Sample])
