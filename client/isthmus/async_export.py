"""An export that knows its asynchronous client: what it is, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from isthmus.async_driver import AsyncDriver
from isthmus.core.download import save
from isthmus.core.fetching import fetch
from isthmus.core.request import Request
from isthmus.core.waiting import until_ended
from isthmus.errors import IsthmusError
from isthmus.resources import export_requests as requests
from isthmus.types.base import Deleted, Model
from isthmus.types.exports import ExportFields


class AsyncExport(ExportFields):
    """An export of a model. Its methods ask the service; its fields are as of the last answer."""

    _driver: AsyncDriver | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        """Take the client that the answer came through."""
        if isinstance(context, AsyncDriver):
            self._driver = context

    async def refresh(self) -> AsyncExport:
        """Ask how it is now; updates the fields and returns the export."""
        return self._update(await self._fetch(requests.one(self.model, self.id), AsyncExport))

    async def wait(
        self, *, timeout: float | None = None, poll_interval: float = 2.0, check: bool = False
    ) -> AsyncExport:
        """Wait for the export's end, also while the service restarts; returns the export.

        Raises WaitTimedOut after `timeout` seconds, and with `check` ExportUnsuccessful unless it succeeded.
        """
        driver = self._bound()
        self._update(
            await driver.run(
                until_ended(
                    requests.one(self.model, self.id),
                    AsyncExport,
                    driver.options.retries,
                    driver,
                    timeout=timeout,
                    poll_interval=poll_interval,
                )
            )
        )
        if check:
            requests.check_success(self)
        return self

    async def cancel(self) -> AsyncExport:
        """Cancel: at once while queued, else its worker stops it (`status` says `cancelling`)."""
        return self._update(await self._fetch(requests.cancel(self.model, self.id), AsyncExport))

    async def delete(self) -> Deleted:
        """Delete it with its files; one that is under way is cancelled."""
        return await self._fetch(requests.delete_one(self.model, self.id), Deleted)

    async def download(self, path: str | Path, *, name: str | None = None) -> list[Path]:
        """Save its files in the folder `path`, or the one of this name; returns them.

        Each is checked by its hash and appears whole; called again, it goes on where it broke off.
        """
        driver = self._bound()
        return await driver.run(requests.download(self, Path(path), name, driver.options.retries))

    async def archive(self, path: str | Path) -> Path:
        """Save all its files as one tar at `path`, with SHA256SUMS."""
        driver = self._bound()
        return await driver.run(
            save(requests.archive(self.model, self.id), Path(path), driver.options.retries)
        )

    async def _fetch(self, request: Request, model: type[Model]) -> Model:
        driver = self._bound()
        return await driver.run(fetch(request, model, driver.options.retries, driver))

    def _update(self, other: AsyncExport) -> AsyncExport:
        self.__dict__.update(other.__dict__)
        self.__pydantic_extra__ = other.__pydantic_extra__
        return self

    def _bound(self) -> AsyncDriver:
        if self._driver is None:
            raise IsthmusError("this export has no client: take it from client.models.exports.retrieve(..)")
        return self._driver
