"""uvicorn's protocols with what many long streams need, as ASGI extensions in the scope.

`isthmus.frames`: a `websocket.send` may hold, under this key, whole WebSocket frames as bytes, which go out
as they are: encoded once for a thousand readers, and many in one write. Its `writable` is an asyncio.Event,
not set while the buffer is full. `isthmus.abort`: drops an HTTP connection with what is buffered for it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WHOLE_FRAMES = "isthmus.frames"
ABORT = "isthmus.abort"
CLOSING = "closing"
"""Names an asyncio.Event in the lifespan's state, set when the server begins to end."""
LINGER_SECONDS = 10.0
"""A reader that was cut off gets so long to take what is buffered and the close frame behind it."""


class StreamSockets(WebSocketsSansIOProtocol):
    """WebSockets, uncompressed: a frame is then the same for all."""

    async def run_asgi(self) -> None:
        """Tell the application of the extension."""
        self.scope["extensions"][WHOLE_FRAMES] = {"writable": self.writable}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send a message of the application's."""
        frames: bytes | None = message.get(WHOLE_FRAMES)
        if frames is not None:
            await self.writable.wait()
            if self.disconnected or self.close_sent or self.transport.is_closing():
                raise ClientDisconnected
            self.transport.write(frames)
            return
        if message["type"] == "websocket.close" and not self.writable.is_set():
            # It must not wait for a reader that reads nothing, nor may the connection stay for one's sake.
            self.writable.set()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        await super().send(message)


class StreamRequests(HttpToolsProtocol):
    """HTTP whose long answers learn that the server ends, and that can drop a client."""

    def on_message_begin(self) -> None:
        """Tell the application of the extension."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def shutdown(self) -> None:
        """The server ends: so do the streams, whose clients come back with their cursors."""
        closing = self.app_state.get(CLOSING)
        if isinstance(closing, asyncio.Event):
            closing.set()
        super().shutdown()
