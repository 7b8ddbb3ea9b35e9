"""The answer to a chat request, whole or piece by piece; a client that goes away cancels its request."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api import chat_errors
from api.chat_desk import ChatDesk, Ticket
from api.chat_meters import ChatMeters
from api.errors import ApiError
from api.event_stream import HEADERS, PING_SECONDS, drop_connection, until_gone
from api.protocols import CLOSING
from api.transcript import Transcript
from store.chat_orders import ChatOrder

SEND_SECONDS = 20.0
"""A reader that takes nothing for so long is cut off, and its request cancelled."""
DONE = format_sse_event(data_str="[DONE]")


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat request that is to be asked."""

    desk: ChatDesk
    meters: ChatMeters
    order: ChatOrder
    model: str
    """As the client names it."""
    wants_usage: bool


class ChatAnswer(Response):
    """Asks when it is sent: a refusal is an ordinary answer of 400 and above."""

    def __init__(self, call: ChatCall) -> None:
        super().__init__()
        self.call = call
        self.transcript = Transcript(call.order, call.model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer until it is complete, or the client or the server ends."""
        outcome = "cancelled"
        try:
            await self._ask(scope, receive, send)
            if self.transcript.complete:
                outcome = "ok"
        except ApiError as error:
            outcome = error.code
            await self._refuse(error, scope, send)
        except TimeoutError:
            drop_connection(scope)
        finally:
            usage = self.transcript.usage
            self.call.meters.count(
                outcome,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
            )

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ApiError, also when the server ends; returns early when the client has gone."""
        async with self.call.desk.ask(self.call.order) as ticket:
            answering = asyncio.create_task(self._answer(ticket, scope, receive, send))
            gone = asyncio.create_task(until_gone(receive))
            closing = asyncio.create_task(_closing(scope).wait())
            tasks = (answering, gone, closing)
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if not answering.cancelled():
                answering.result()
            elif not closing.cancelled():
                raise chat_errors.stopping()

    @abstractmethod
    async def _answer(self, ticket: Ticket, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of the answer. Raises ApiError, TimeoutError."""

    @abstractmethod
    async def _refuse(self, error: ApiError, scope: Scope, send: Send) -> None:
        """Tell the client, or raise `error` for it to become the answer."""


class WholeAnswer(ChatAnswer):
    """One JSON object, at the end."""

    async def _answer(self, ticket: Ticket, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        while not self.transcript.complete:
            for piece in await ticket.next():
                if self.transcript.is_empty:
                    self.call.meters.time_first(time.monotonic() - began)
                self.transcript.add(piece)
        await JSONResponse(self.transcript.completion().model_dump())(scope, receive, send)

    async def _refuse(self, error: ApiError, scope: Scope, send: Send) -> None:
        raise error


class StreamedAnswer(ChatAnswer):
    """Chunks as server-sent events, as they are written; `[DONE]` at the end."""

    media_type = "text/event-stream"

    def __init__(self, call: ChatCall) -> None:
        super().__init__(call)
        self.headers.update(HEADERS)
        del self.headers["content-length"]
        self._started = False

    async def _answer(self, ticket: Ticket, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        while not self.transcript.complete:
            pieces = await _next_within(ticket, PING_SECONDS)
            if pieces and self.transcript.is_empty:
                self.call.meters.time_first(time.monotonic() - began)
            chunks = [chunk for piece in pieces for chunk in self.transcript.add(piece)]
            events = [format_sse_event(data_str=chunk.model_dump_json()) for chunk in chunks]
            await self._send(send, b"".join(events) or KEEPALIVE_COMMENT)
        if self.call.wants_usage:
            await self._send(send, format_sse_event(data_str=self.transcript.last_chunk().model_dump_json()))
        await self._send(send, DONE, more=False)

    async def _refuse(self, error: ApiError, scope: Scope, send: Send) -> None:
        if not self._started:
            raise error
        try:
            await self._send(send, format_sse_event(data_str=error.body.model_dump_json()), more=False)
        except TimeoutError:
            drop_connection(scope)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Send events; waits while the connection's buffer is full. Raises TimeoutError."""
        async with asyncio.timeout(SEND_SECONDS):
            if not self._started:
                self._started = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _next_within(ticket: Ticket, seconds: float) -> list[Any]:
    """What has come; nothing after a silence of so long."""
    try:
        async with asyncio.timeout(seconds):
            return list(await ticket.next())
    except TimeoutError:
        return []


def _closing(scope: Scope) -> asyncio.Event:
    closing: asyncio.Event = scope["state"][CLOSING]
    return closing
