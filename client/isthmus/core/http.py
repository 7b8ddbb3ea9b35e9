"""A request as httpx2 sends it, and httpx2's failures as ours; the same for both kinds of client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import httpx2

from isthmus.core.effects import Answer
from isthmus.core.request import Request, Upload
from isthmus.errors import ConnectionFailed, Timeout, UnexpectedAnswer
from isthmus.options import Options

MAX_CONNECT_SECONDS = 5.0
MAX_EVENT_BYTES = 64 * 1024 * 1024
USER_AGENT = f"isthmus-python/{version('isthmus')}"


@contextmanager
def built(
    http: httpx2.Client | httpx2.AsyncClient, request: Request, options: Options
) -> Iterator[httpx2.Request]:
    """The request, ready to be sent until the block ends; a file of a path is open as long."""
    if request.upload is None:
        yield _build(http, request, options, files=None)
        return
    name, upload = request.upload
    with _opened(upload) as content:
        yield _build(http, request, options, files={name: (upload.name, content)})


def answer_of(response: httpx2.Response, body: bytes = b"") -> Answer:
    """An answer without httpx2."""
    return Answer(response.status_code, dict(response.headers), body)


def failure(error: httpx2.RequestError, request: Request) -> ConnectionFailed:
    """Our exception for httpx2's. Raises UnexpectedAnswer for answers that no repetition mends."""
    what = f"{request.method} {request.path}: {str(error) or type(error).__name__}"
    if isinstance(error, (httpx2.SSEError, httpx2.DecodingError, httpx2.TooManyRedirects)):
        raise UnexpectedAnswer(what) from error
    kind = Timeout if isinstance(error, httpx2.TimeoutException) else ConnectionFailed
    failed = kind(what)
    failed.__cause__ = error
    return failed


def _build(
    http: httpx2.Client | httpx2.AsyncClient,
    request: Request,
    options: Options,
    *,
    files: dict[str, tuple[str, Any]] | None,
) -> httpx2.Request:
    timeout = httpx2.Timeout(options.timeout, connect=min(options.timeout, MAX_CONNECT_SECONDS))
    if request.read_timeout is not None:
        timeout.read = request.read_timeout
    return http.build_request(
        request.method,
        options.base_url + request.path,
        params={name: _in_query(value) for name, value in request.query.items() if value is not None},
        json=request.json,
        data=request.form,
        files=files,
        headers={
            "Authorization": f"Bearer {options.api_key}",
            "User-Agent": USER_AGENT,
            **request.headers,
        },
        timeout=timeout,
    )


def _in_query(value: str | float | Sequence[str]) -> str | list[str]:
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case names:
            return list(names)


@contextmanager
def _opened(upload: Upload) -> Iterator[IO[bytes] | bytes]:
    match upload.source:
        case Path() as path:
            with path.open("rb") as stream:
                yield stream
        case content:
            yield content
