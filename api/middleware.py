"""Around every request: an id, a cap on the body, security headers, and an answer when we fail."""

from __future__ import annotations

import http
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, as_api_error, internal_error
from store.log import log_context

JSON_BODY_BYTES = 1024 * 1024
FORM_OVERHEAD_BYTES = 64 * 1024
DRAIN_BYTES = 64 * 1024 * 1024
"""So much of a body that is too large is read and dropped: a client sees no answer while it sends."""
PART_BYTES = 64 * 1024 * 1024
UPLOAD_PATH = "/v1/files"
PART_PATH = re.compile(r"/v1/uploads/[^/]+/parts")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

logger = logging.getLogger(__name__)


class RequestFrame:
    """The outermost layer: gives each answer its id and headers, turns a crash into a 500 without details."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or stream, whose lines in the log have its id."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        with log_context(request_id=request_id, job_id=lambda: scope.get("path_params", {}).get("job_id")):
            if scope["type"] == "http":
                await self._serve(scope, receive, send, request_id)
            else:
                await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began = time.perf_counter()
        started = False

        async def send_framed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _log_answer(scope, message["status"], time.perf_counter() - began)
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers.update(scope.get("state", {}).get("answer_headers", {}))
                headers.setdefault("content-security-policy", API_POLICY)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_framed)
        except Exception as error:
            if started:
                raise
            known = as_api_error(error)
            if known is None:
                logger.exception("%s %s failed", scope["method"], scope["path"])
            await (known or internal_error(request_id)).response()(scope, receive, send_framed)


def _log_answer(scope: Scope, status: int, seconds: float) -> None:
    """A refusal is logged once, in one line; what went well only where it is asked for."""
    level = logging.INFO if status >= http.HTTPStatus.BAD_REQUEST else logging.DEBUG
    logger.log(level, "%s %s: %d in %.3f s", scope["method"], scope["path"], status, seconds)


class BodyLimit:
    """Refuses bodies over the limit, by their announced length or as they come in."""

    def __init__(self, app: ASGIApp, *, max_file_bytes: int) -> None:
        self.app = app
        self.max_file_bytes = max_file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with a counted body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope)
        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > limit:
            await _drain(receive)
            await self._too_large(scope).response()(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise self._too_large(scope)
            return message

        await self.app(scope, receive_counted, send)

    def _limit(self, scope: Scope) -> int:
        if _is_part(scope):
            return PART_BYTES + FORM_OVERHEAD_BYTES
        return self.max_file_bytes + FORM_OVERHEAD_BYTES if _is_upload(scope) else JSON_BODY_BYTES

    def _too_large(self, scope: Scope) -> ApiError:
        if _is_part(scope):
            return part_too_large()
        if _is_upload(scope):
            return file_too_large(self.max_file_bytes)
        return ApiError(413, f"The body is larger than {JSON_BODY_BYTES} bytes", code="too_large")


def file_too_large(max_file_bytes: int, *, param: str = "file") -> ApiError:
    """A file over the service's limit."""
    return ApiError(
        413,
        f"The file is larger than {max_file_bytes:,} bytes; split it",
        code="file_too_large",
        param=param,
    )


def part_too_large() -> ApiError:
    """A part of an upload over the limit that OpenAI has, too."""
    return ApiError(
        413,
        f"The part is larger than {PART_BYTES:,} bytes; send smaller parts",
        code="part_too_large",
        param="data",
    )


def _is_part(scope: Scope) -> bool:
    return PART_PATH.fullmatch(scope["path"]) is not None


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"] == UPLOAD_PATH)


async def _drain(receive: Receive) -> None:
    seen = 0
    while seen <= DRAIN_BYTES:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
