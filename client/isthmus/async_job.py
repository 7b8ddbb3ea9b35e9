"""A job that knows its asynchronous client: what it is, and what can be done with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Unpack

from pydantic import PrivateAttr

from isthmus.async_driver import AsyncDriver
from isthmus.core.download import save
from isthmus.core.fetching import fetch
from isthmus.core.request import Request
from isthmus.core.series import windows
from isthmus.core.stream import Cursor, follow
from isthmus.core.waiting import check_success, until_ended
from isthmus.errors import IsthmusError
from isthmus.resources import job_requests as requests
from isthmus.resources.base import AsyncPages
from isthmus.types.base import Model, Page
from isthmus.types.jobs import Checkpoint, JobEvent, JobFields, Sample
from isthmus.types.params import ExportFormat, SampleParams, SeriesParams
from isthmus.types.series import Importance, Metrics
from isthmus.types.stream import Happening, JobUpdate, read_frame


class AsyncJob(JobFields):
    """A fine-tuning job. Its methods ask the service; its fields are as of the last answer."""

    _driver: AsyncDriver | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        """Take the client that the answer came through."""
        if isinstance(context, AsyncDriver):
            self._driver = context

    async def refresh(self) -> AsyncJob:
        """Ask how it is now; updates the fields and returns the job."""
        return self._update(await self._fetch(requests.one(self.id), AsyncJob))

    async def wait(
        self, *, timeout: float | None = None, poll_interval: float = 5.0, check: bool = False
    ) -> AsyncJob:
        """Wait for the job's end, also while the service restarts; returns the job.

        Raises WaitTimedOut after `timeout` seconds, and with `check` JobUnsuccessful unless it succeeded.
        """
        driver = self._bound()
        self._update(
            await driver.run(
                until_ended(
                    requests.one(self.id),
                    AsyncJob,
                    driver.options.retries,
                    driver,
                    timeout=timeout,
                    poll_interval=poll_interval,
                )
            )
        )
        if check:
            check_success(self)
        return self

    async def cancel(self) -> AsyncJob:
        """Cancel: at once while queued, else its worker stops it (`state` says `cancelling`)."""
        return self._update(await self._fetch(requests.cancel(self.id), AsyncJob))

    async def pause(self) -> AsyncJob:
        """Pause: at once while queued, else after a checkpoint (`state` says `pausing`)."""
        return self._update(await self._fetch(requests.pause(self.id), AsyncJob))

    async def resume(self) -> AsyncJob:
        """Let a paused job go on when its turn comes."""
        return self._update(await self._fetch(requests.resume(self.id), AsyncJob))

    async def stream(self, *, after: int = 0) -> AsyncGenerator[JobUpdate[AsyncJob] | Happening, None]:
        """Yield all that happens, from the beginning (or after the `seq` of `after`) to the job's end.

        Comes back by itself when the connection breaks: nothing is lost, nothing comes twice. The job's own
        fields follow. Raises APIError where the service refuses, and ConnectionFailed once it has been away
        for five minutes.
        """
        driver = self._bound()
        operation = follow(requests.stream(self.id), driver.options.retries, Cursor(after))
        async with aclosing(driver.iterate(operation)) as frames:
            async for frame in frames:
                update = read_frame(frame, JobUpdate[AsyncJob], driver)
                if isinstance(update, JobUpdate):
                    self._update(update.data)
                yield update

    def events(self, *, after: str | None = None, limit: int | None = None) -> AsyncPages[JobEvent]:
        """The job's log, newest first."""
        return AsyncPages(self._bound(), requests.events(self.id, after, limit), Page[JobEvent])

    def checkpoints(self, *, after: str | None = None, limit: int | None = None) -> AsyncPages[Checkpoint]:
        """The job's checkpoints, newest first."""
        return AsyncPages(self._bound(), requests.checkpoints(self.id, after, limit), Page[Checkpoint])

    def samples(self, **params: Unpack[SampleParams]) -> AsyncPages[Sample]:
        """Rows of the validation file with the answers of the base model and of the tuned one."""
        return AsyncPages(self._bound(), requests.samples(self.id, params), Page[Sample])

    async def metrics(self, *, keys: Sequence[str] | None = None, **params: Unpack[SeriesParams]) -> Metrics:
        """Metrics by step: those of `keys` (None: all), or `points` of them that keep the extremes."""
        driver = self._bound()
        request = requests.metrics(self.id, keys, params)
        return await driver.run(windows(request, Metrics, driver.options.retries))

    async def importance(self, **params: Unpack[SeriesParams]) -> Importance:
        """Each layer's score by step, and the layers updated in it."""
        driver = self._bound()
        request = requests.importance(self.id, params)
        return await driver.run(windows(request, Importance, driver.options.retries))

    async def export(self, path: str | Path, *, file_format: ExportFormat = "csv") -> Path:
        """Save every step so far at `path`: time, metrics, and by layer its score, updates and chance."""
        driver = self._bound()
        request = requests.export(self.id, file_format)
        return await driver.run(save(request, Path(path), driver.options.retries))

    async def reproduction(self, path: str | Path) -> Path:
        """Save a zip of all that the weights depend on at `path`: data, spec, versions, command."""
        driver = self._bound()
        return await driver.run(save(requests.reproduction(self.id), Path(path), driver.options.retries))

    async def download(self, path: str | Path) -> list[Path]:
        """Save all that the job made in the folder `path`; returns the files.

        Each is checked by its hash and appears whole; called again, it goes on where it broke off.
        """
        driver = self._bound()
        return await driver.run(requests.download(self.id, Path(path), driver.options.retries))

    async def _fetch(self, request: Request, model: type[Model]) -> Model:
        driver = self._bound()
        return await driver.run(fetch(request, model, driver.options.retries, driver))

    def _update(self, other: AsyncJob) -> AsyncJob:
        self.__dict__.update(other.__dict__)
        self.__pydantic_extra__ = other.__pydantic_extra__
        return self

    def _bound(self) -> AsyncDriver:
        if self._driver is None:
            raise IsthmusError("this job has no client: take it from client.jobs.retrieve(..)")
        return self._driver
