"""A job's stream over a WebSocket: frames as text messages, until the job or the client ends."""

from __future__ import annotations

import asyncio
import logging

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from api.errors import ApiError, as_api_error, internal_error
from api.feed import Watcher
from api.protocols import WHOLE_FRAMES
from api.strip import Slice

SEND_SECONDS = 20.0
"""A reader that takes nothing for so long is cut off; it comes back with its cursor."""
SLOW_READER = 1013

logger = logging.getLogger(__name__)


def explain(error: Exception, job_id: str) -> ApiError:
    """What the reader of a stream that broke off is told; one that is our fault is logged."""
    known = as_api_error(error)
    if known is None:
        logger.error("the stream of job %r failed", job_id, exc_info=error)
        return internal_error(f"job {job_id!a:.40}")
    return known


async def follow(socket: WebSocket, watcher: Watcher) -> None:
    """Send an accepted socket what its watcher gets. Raises ApiError for what ends the stream early."""
    sender = asyncio.create_task(_send_all(socket, watcher))
    listener = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
    finally:
        sender.cancel()
        listener.cancel()
        await asyncio.gather(sender, listener, return_exceptions=True)


async def _send_all(socket: WebSocket, watcher: Watcher) -> None:
    part = await watcher.open()
    sent = part.cursor
    try:
        while True:
            await _send(socket, part)
            sent = part.cursor
            if part.last:
                await socket.close(1000)
                return
            part = await watcher.next()
    except TimeoutError:
        await _close_slow(socket, sent)
    except WebSocketDisconnect:
        return


async def _until_gone(socket: WebSocket) -> None:
    """Take what the client says, to learn that it has gone; the stream goes one way."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send(socket: WebSocket, part: Slice) -> None:
    """Send frames; waits while the socket's buffer is full. Raises TimeoutError."""
    extension = socket.scope.get("extensions", {}).get(WHOLE_FRAMES)
    if extension is not None:
        if not extension["writable"].is_set():
            async with asyncio.timeout(SEND_SECONDS):
                await extension["writable"].wait()
        await socket.send({"type": "websocket.send", WHOLE_FRAMES: part.websocket})
        return
    async with asyncio.timeout(SEND_SECONDS):
        for frame in part.frames:
            await socket.send_text(frame.json.decode())


async def _close_slow(socket: WebSocket, cursor: int) -> None:
    """Say where to go on, behind what still waits in the buffer."""
    try:
        async with asyncio.timeout(1.0):
            await socket.close(SLOW_READER, f"too slow; come back with after={cursor}")
    except TimeoutError:
        return  # a server without our protocols; its own keepalive drops the connection
