"""`client.files`: training data up, results down."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Literal, TypeAlias

from isthmus.core.download import Wanted, download
from isthmus.core.effects import Operation
from isthmus.core.fetching import fetch, fetch_bytes
from isthmus.core.request import Request, Upload, delete, get, part
from isthmus.core.retries import Retries
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Deleted, Page
from isthmus.types.files import File, TokenCounts

PATH = "/v1/files"
Source: TypeAlias = str | Path | bytes | IO[bytes]
Order = Literal["asc", "desc"]


class Files(Resource):
    """Files of the key's project."""

    def create(
        self,
        *,
        file: Source,
        purpose: Literal["fine-tune"] = "fine-tune",
        name: str | None = None,
        expires_in_seconds: int | None = None,
    ) -> File:
        """Upload a file: by its path, its bytes, or open in binary mode. `name` is what it is called there.

        Raises BadRequest with every fault of the file by line; `isthmus.dataset.formats.check` finds the same
        without a service.
        """
        return self._fetch(_create(file, purpose, name, expires_in_seconds), File)

    def list(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        order: Order | None = None,
        purpose: str | None = None,
    ) -> Pages[File]:
        """Files, newest first; `limit` is the size of a page."""
        return self._list(get(PATH, after=after, limit=limit, order=order, purpose=purpose), Page[File])

    def retrieve(self, file_id: str) -> File:
        """One file."""
        return self._fetch(_one(file_id), File)

    def delete(self, file_id: str) -> Deleted:
        """Delete a file. Raises BadRequest while a job that has not ended reads it."""
        return self._fetch(_delete(file_id), Deleted)

    def content(self, file_id: str) -> bytes:
        """A file's bytes; see `download` for large ones."""
        return self._driver.run(fetch_bytes(_content(file_id), self._driver.options.retries))

    def download(self, file_id: str, path: str | Path) -> Path:
        """Save a file at `path`, checked by its hash and put in place whole; goes on after a break."""
        return self._driver.run(_download(file_id, Path(path), self._driver.options.retries))

    def tokens(self, file_id: str, *, model: str, max_length: int | None = None) -> TokenCounts:
        """How many tokens the file's rows have for a model."""
        return self._fetch(_tokens(file_id, model, max_length), TokenCounts)


class AsyncFiles(AsyncResource):
    """Files of the key's project."""

    async def create(
        self,
        *,
        file: Source,
        purpose: Literal["fine-tune"] = "fine-tune",
        name: str | None = None,
        expires_in_seconds: int | None = None,
    ) -> File:
        """Upload a file: by its path, its bytes, or open in binary mode. `name` is what it is called there.

        Raises BadRequest with every fault of the file by line; `isthmus.dataset.formats.check` finds the same
        without a service.
        """
        return await self._fetch(_create(file, purpose, name, expires_in_seconds), File)

    def list(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        order: Order | None = None,
        purpose: str | None = None,
    ) -> AsyncPages[File]:
        """Files, newest first; `limit` is the size of a page."""
        return self._list(get(PATH, after=after, limit=limit, order=order, purpose=purpose), Page[File])

    async def retrieve(self, file_id: str) -> File:
        """One file."""
        return await self._fetch(_one(file_id), File)

    async def delete(self, file_id: str) -> Deleted:
        """Delete a file. Raises BadRequest while a job that has not ended reads it."""
        return await self._fetch(_delete(file_id), Deleted)

    async def content(self, file_id: str) -> bytes:
        """A file's bytes; see `download` for large ones."""
        return await self._driver.run(fetch_bytes(_content(file_id), self._driver.options.retries))

    async def download(self, file_id: str, path: str | Path) -> Path:
        """Save a file at `path`, checked by its hash and put in place whole; goes on after a break."""
        return await self._driver.run(_download(file_id, Path(path), self._driver.options.retries))

    async def tokens(self, file_id: str, *, model: str, max_length: int | None = None) -> TokenCounts:
        """How many tokens the file's rows have for a model."""
        return await self._fetch(_tokens(file_id, model, max_length), TokenCounts)


def _create(file: Source, purpose: str, name: str | None, expires_in_seconds: int | None) -> Request:
    form = {"purpose": purpose}
    if expires_in_seconds is not None:
        form |= {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(expires_in_seconds)}
    return Request("POST", PATH, form=form, upload=("file", Upload.of(file, name)))


def _one(file_id: str) -> Request:
    return get(f"{PATH}/{part(file_id)}")


def _delete(file_id: str) -> Request:
    return delete(f"{PATH}/{part(file_id)}")


def _content(file_id: str) -> Request:
    return get(f"{PATH}/{part(file_id)}/content")


def _tokens(file_id: str, model: str, max_length: int | None) -> Request:
    return get(f"{PATH}/{part(file_id)}/tokens", model=model, max_length=max_length)


def _download(file_id: str, path: Path, retries: Retries) -> Operation[Path]:
    file = yield from fetch(_one(file_id), File, retries)
    yield from download(Wanted(_content(file_id), path, file.sha256), retries)
    return path
