"""Bytes from object storage as an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from api.errors import ApiError
from store.objects import CHUNK_BYTES, ObjectNotFound, ObjectStore


def attachment(objects: ObjectStore, key: str, *, filename: str, size: int) -> StreamingResponse:
    """Stream an object as a download; browsers never show it as a page of ours."""
    try:
        source = objects.open(key)
    except ObjectNotFound as error:
        raise ApiError(
            500, "The bytes of this object are gone from object storage", code="object_lost"
        ) from error
    return StreamingResponse(
        _chunks(source),
        media_type="application/octet-stream",
        headers={
            "Content-Length": str(size),
            # Percent-encoded whole, so no name can break out of the header.
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
        },
    )


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
