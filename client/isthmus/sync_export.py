"""An export that knows its client: what it is, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from isthmus.core.download import save
from isthmus.core.fetching import fetch
from isthmus.core.request import Request
from isthmus.core.waiting import until_ended
from isthmus.errors import IsthmusError
from isthmus.resources import export_requests as requests
from isthmus.sync_driver import SyncDriver
from isthmus.types.base import Deleted, Model
from isthmus.types.exports import ExportFields


class Export(ExportFields):
    """An export of a model. Its methods ask the service; its fields are as of the last answer."""

    _driver: SyncDriver | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        """Take the client that the answer came through."""
        if isinstance(context, SyncDriver):
            self._driver = context

    def refresh(self) -> Export:
        """Ask how it is now; updates the fields and returns the export."""
        return self._update(self._fetch(requests.one(self.model, self.id), Export))

    def wait(
        self, *, timeout: float | None = None, poll_interval: float = 2.0, check: bool = False
    ) -> Export:
        """Wait for the export's end, also while the service restarts; returns the export.

        Raises WaitTimedOut after `timeout` seconds, and with `check` ExportUnsuccessful unless it succeeded.
        """
        driver = self._bound()
        self._update(
            driver.run(
                until_ended(
                    requests.one(self.model, self.id),
                    Export,
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

    def cancel(self) -> Export:
        """Cancel: at once while queued, else its worker stops it (`status` says `cancelling`)."""
        return self._update(self._fetch(requests.cancel(self.model, self.id), Export))

    def delete(self) -> Deleted:
        """Delete it with its files; one that is under way is cancelled."""
        return self._fetch(requests.delete_one(self.model, self.id), Deleted)

    def download(self, path: str | Path, *, name: str | None = None) -> list[Path]:
        """Save its files in the folder `path`, or the one of this name; returns them.

        Each is checked by its hash and appears whole; called again, it goes on where it broke off.
        """
        driver = self._bound()
        return driver.run(requests.download(self, Path(path), name, driver.options.retries))

    def archive(self, path: str | Path) -> Path:
        """Save all its files as one tar at `path`, with SHA256SUMS."""
        driver = self._bound()
        return driver.run(save(requests.archive(self.model, self.id), Path(path), driver.options.retries))

    def _fetch(self, request: Request, model: type[Model]) -> Model:
        driver = self._bound()
        return driver.run(fetch(request, model, driver.options.retries, driver))

    def _update(self, other: Export) -> Export:
        self.__dict__.update(other.__dict__)
        self.__pydantic_extra__ = other.__pydantic_extra__
        return self

    def _bound(self) -> SyncDriver:
        if self._driver is None:
            raise IsthmusError("this export has no client: take it from client.models.exports.retrieve(..)")
        return self._driver
