"""Bytes from object storage as an answer: whole, or the part that is left of a download that broke off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from api.byte_ranges import NotSatisfiable, Part, wanted_part
from api.errors import ApiError
from store.archive import archive_of
from store.objects import CHUNK_BYTES, ObjectNotFound, ObjectStore

BYTES = {"schema": {"type": "string", "format": "binary"}}


def download_answers(description: str, media_type: str = "application/octet-stream") -> dict[int | str, Any]:
    """What the specification says of a download."""
    content = {media_type: BYTES}
    return {
        200: {"content": content, "description": f"{description}; `Range` and `If-Range` are understood"},
        206: {"content": content, "description": "The part that `Range` asks for"},
        304: {"description": "`If-None-Match` names these very bytes"},
    }


def attachment(
    request: Request, objects: ObjectStore, key: str, *, filename: str, size: int, sha256: str
) -> Response:
    """Stream an object as a download; its SHA-256 is its ETag."""
    return send_download(request, lambda: objects.open(key), filename=filename, size=size, version=sha256)


def send_archive(
    request: Request,
    objects: ObjectStore,
    name: str,
    prefix: str,
    files: Sequence[dict[str, Any]],
    *,
    made_at: datetime,
) -> Response:
    """Stream the objects under `prefix` as `NAME.tar`, which unpacks to the folder NAME; see `archive_of`."""
    made = archive_of(name, prefix, files, made_at=made_at)
    return send_download(
        request,
        partial(made.open, objects),
        filename=f"{name}.tar",
        size=made.bytes,
        version=made.version,
        media_type="application/x-tar",
    )


def send_download(
    request: Request,
    open_source: Callable[[], BinaryIO],
    *,
    filename: str,
    size: int,
    version: str,
    media_type: str = "application/octet-stream",
) -> Response:
    """Stream a seekable source as a download; browsers never show it as a page of ours.

    Args:
        version: changes whenever the bytes do.
    """
    etag = f'"{version}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        # Percent-encoded whole, so no name can break out of the header.
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
    }
    if _has_it(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        part = wanted_part(
            request.headers.get("range"), request.headers.get("if-range"), etag=etag, size=size
        )
    except NotSatisfiable:
        raise ApiError(
            416,
            f"Range: begins after the end; there are {size:,} bytes",
            code="range_not_satisfiable",
            param="Range",
            headers={"Content-Range": f"bytes */{size}"},
        ) from None
    if part is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.stop - 1}/{size}"
    whole = Part(0, size)
    headers["Content-Length"] = str((part or whole).size)
    return StreamingResponse(
        _chunks(opened(open_source), part or whole),
        206 if part else 200,
        media_type=media_type,
        headers=headers,
    )


def _has_it(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names this version, strongly or weakly."""
    named = [name.strip().removeprefix("W/") for name in (header or "").split(",")]
    return etag in named or named == ["*"]


def opened(open_source: Callable[[], BinaryIO]) -> BinaryIO:
    """An object that a row names. Raises ApiError where its bytes are gone all the same."""
    try:
        return open_source()
    except ObjectNotFound as error:
        raise ApiError(
            500, "The bytes of this object are gone from object storage", code="object_lost"
        ) from error


def _chunks(source: BinaryIO, part: Part) -> Iterator[bytes]:
    with source:
        source.seek(part.first)
        left = part.size
        while left and (chunk := source.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
