"""A job's stream as Server-Sent Events: what a browser's EventSource reads, and resumes by itself."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.feed import Watcher
from api.protocols import ABORT, CLOSING
from api.stream import explain
from api.strip import Frame, Slice
from api.wire.frames import ErrorFrame

PING_SECONDS = 15.0
"""Silence for so long is broken by a comment, so that clients and proxies know that the line is up."""
SEND_SECONDS = 20.0
"""A reader that takes nothing for so long is cut off; it comes back with its last id."""
RETRY_MILLISECONDS = 1000
HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would hold events back
}


class EventStream(Response):
    """Opens the stream when it is sent: a refusal is an ordinary answer of 400 and above."""

    media_type = "text/event-stream"

    def __init__(
        self, watching: AbstractAsyncContextManager[Watcher], measured: AbstractContextManager[object]
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._watching = watching
        self._measured = measured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the job, the client or the server ends."""
        with self._measured:
            async with self._watching as watcher:
                first = await watcher.open()
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await _follow(scope, receive, send, watcher, first)


async def _follow(scope: Scope, receive: Receive, send: Send, watcher: Watcher, first: Slice) -> None:
    sender = asyncio.create_task(_send_all(send, watcher, first, scope["path_params"]["job_id"]))
    ends = [asyncio.create_task(until_gone(receive))]
    closing = scope.get("state", {}).get(CLOSING)
    if closing is not None:
        ends.append(asyncio.create_task(closing.wait()))
    try:
        await asyncio.wait({sender, *ends}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sender, *ends):
            task.cancel()
        await asyncio.gather(sender, *ends, return_exceptions=True)
    if not sender.cancelled() and isinstance(sender.exception(), TimeoutError):
        drop_connection(scope)
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_all(send: Send, watcher: Watcher, first: Slice, job_id: str) -> None:
    await _send(send, format_sse_event(retry=RETRY_MILLISECONDS) + first.events)
    try:
        while True:
            part = await watcher.next(PING_SECONDS)
            await _send(send, part.events or KEEPALIVE_COMMENT)
            if part.last:
                return
    except TimeoutError:
        raise
    except Exception as error:
        told = ErrorFrame(error=explain(error, job_id).body.error)
        await _send(send, Slice([Frame.of(watcher.cursor, told.type, told)], watcher.cursor).events)


async def _send(send: Send, body: bytes) -> None:
    """Send some events; waits while the connection's buffer is full. Raises TimeoutError."""
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def drop_connection(scope: Scope) -> None:
    """Let a slow reader's connection go; a server without our protocols closes it, once all is taken."""
    if ABORT in scope.get("extensions", {}):
        scope["extensions"][ABORT]["abort"]()
