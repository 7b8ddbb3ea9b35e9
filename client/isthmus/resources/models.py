"""`client.models`: base models, and those that jobs made."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from isthmus.async_driver import AsyncDriver
from isthmus.core.download import save
from isthmus.core.effects import Operation
from isthmus.core.fetching import fetch
from isthmus.core.request import Request, delete, get, part
from isthmus.core.retries import Retries
from isthmus.errors import IsthmusError
from isthmus.resources import job_requests
from isthmus.resources.base import AsyncResource, Resource
from isthmus.resources.exports import AsyncExports, Exports
from isthmus.sync_driver import SyncDriver
from isthmus.types.base import Deleted
from isthmus.types.models import Model, ModelList

PATH = "/v1/models"
Listing: TypeAlias = list[Model]
Saved: TypeAlias = list[Path]


class Models(Resource):
    """Models that the key's project can use."""

    def __init__(self, driver: SyncDriver) -> None:
        super().__init__(driver)
        self.exports = Exports(driver)

    def list(self) -> Listing:
        """Every model: tuned ones, newest first, then the base models by name."""
        return self._fetch(get(PATH), ModelList).data

    def retrieve(self, model: str) -> Model:
        """One model."""
        return self._fetch(_one(model), Model)

    def download(self, model: str, path: str | Path) -> Saved:
        """Save a tuned model's files in the folder `path`; returns them. As `job.download`."""
        return self._driver.run(_download(model, Path(path), self._driver.options.retries))

    def archive(self, model: str, path: str | Path) -> Path:
        """Save a tuned model as one tar at `path`: adapter, tokenizer, report, steps and SHA256SUMS."""
        return self._driver.run(save(_archive(model), Path(path), self._driver.options.retries))

    def delete(self, model: str) -> Deleted:
        """Delete a tuned model with its files and exports; its job stays, with its checkpoints."""
        return self._fetch(delete(f"{PATH}/{part(model)}"), Deleted)


class AsyncModels(AsyncResource):
    """Models that the key's project can use."""

    def __init__(self, driver: AsyncDriver) -> None:
        super().__init__(driver)
        self.exports = AsyncExports(driver)

    async def list(self) -> Listing:
        """Every model: tuned ones, newest first, then the base models by name."""
        return (await self._fetch(get(PATH), ModelList)).data

    async def retrieve(self, model: str) -> Model:
        """One model."""
        return await self._fetch(_one(model), Model)

    async def download(self, model: str, path: str | Path) -> Saved:
        """Save a tuned model's files in the folder `path`; returns them. As `job.download`."""
        return await self._driver.run(_download(model, Path(path), self._driver.options.retries))

    async def archive(self, model: str, path: str | Path) -> Path:
        """Save a tuned model as one tar at `path`: adapter, tokenizer, report, steps and SHA256SUMS."""
        return await self._driver.run(save(_archive(model), Path(path), self._driver.options.retries))

    async def delete(self, model: str) -> Deleted:
        """Delete a tuned model with its files and exports; its job stays, with its checkpoints."""
        return await self._fetch(delete(f"{PATH}/{part(model)}"), Deleted)


def _one(model: str) -> Request:
    return get(f"{PATH}/{part(model)}")


def _archive(model: str) -> Request:
    return get(f"{PATH}/{part(model)}/archive")


def _download(model: str, folder: Path, retries: Retries) -> Operation[list[Path]]:
    found = yield from fetch(_one(model), Model, retries)
    if found.job_id is None:
        raise IsthmusError(f"model: {model!r} is a base model; only those that jobs made can be downloaded")
    return (yield from job_requests.download(found.job_id, folder, retries))
