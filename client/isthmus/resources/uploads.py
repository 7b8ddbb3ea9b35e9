"""`client.uploads`: large files in parts."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.request import Request, Upload, part, post, told
from isthmus.resources.base import AsyncResource, Resource
from isthmus.resources.files import Source
from isthmus.types.files import UploadPart, UploadSession

PATH = "/v1/uploads"


class Uploads(Resource):
    """Files that come in parts of at most 64 MB."""

    def create(
        self,
        *,
        filename: str,
        size: int,
        mime_type: str,
        purpose: str = "fine-tune",
        expires_in_seconds: int | None = None,
    ) -> UploadSession:
        """Begin an upload of `size` bytes in all; its file can be one that goes away by itself."""
        return self._fetch(_create(filename, size, mime_type, purpose, expires_in_seconds), UploadSession)

    def add_part(self, upload_id: str, *, data: Source) -> UploadPart:
        """Send a part; parts may come in any order, and several at once."""
        return self._fetch(_add_part(upload_id, data), UploadPart)

    def complete(self, upload_id: str, *, part_ids: Sequence[str], md5: str | None = None) -> UploadSession:
        """End an upload with its parts in order; its `file` is then checked as any other."""
        return self._fetch(_complete(upload_id, part_ids, md5), UploadSession)

    def cancel(self, upload_id: str) -> UploadSession:
        """Give an upload up."""
        return self._fetch(post(f"{PATH}/{part(upload_id)}/cancel"), UploadSession)


class AsyncUploads(AsyncResource):
    """Files that come in parts of at most 64 MB."""

    async def create(
        self,
        *,
        filename: str,
        size: int,
        mime_type: str,
        purpose: str = "fine-tune",
        expires_in_seconds: int | None = None,
    ) -> UploadSession:
        """Begin an upload of `size` bytes in all; its file can be one that goes away by itself."""
        return await self._fetch(
            _create(filename, size, mime_type, purpose, expires_in_seconds), UploadSession
        )

    async def add_part(self, upload_id: str, *, data: Source) -> UploadPart:
        """Send a part; parts may come in any order, and several at once."""
        return await self._fetch(_add_part(upload_id, data), UploadPart)

    async def complete(
        self, upload_id: str, *, part_ids: Sequence[str], md5: str | None = None
    ) -> UploadSession:
        """End an upload with its parts in order; its `file` is then checked as any other."""
        return await self._fetch(_complete(upload_id, part_ids, md5), UploadSession)

    async def cancel(self, upload_id: str) -> UploadSession:
        """Give an upload up."""
        return await self._fetch(post(f"{PATH}/{part(upload_id)}/cancel"), UploadSession)


def _create(filename: str, size: int, mime_type: str, purpose: str, expires: int | None) -> Request:
    lifetime = None if expires is None else {"anchor": "created_at", "seconds": expires}
    body = {"filename": filename, "bytes": size, "mime_type": mime_type, "purpose": purpose}
    return post(PATH, body | told(expires_after=lifetime))


def _add_part(upload_id: str, data: Source) -> Request:
    path = f"{PATH}/{part(upload_id)}/parts"
    return Request("POST", path, upload=("data", Upload.of(data, "part")))


def _complete(upload_id: str, part_ids: Sequence[str], md5: str | None) -> Request:
    return post(f"{PATH}/{part(upload_id)}/complete", told(part_ids=list(part_ids), md5=md5))
