"""Runs operations on an event loop: the one place where the asynchronous client touches network and clock."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, closing
from typing import Any, Self, TypeVar

import anyio
import httpx2

from isthmus.core.effects import Answer, Done, Effect, Emit, Next, Now, Open, Operation, Send, Sleep, advance
from isthmus.core.http import MAX_EVENT_BYTES, answer_of, built, failure
from isthmus.core.request import Request
from isthmus.errors import ConnectionFailed
from isthmus.options import Options

T = TypeVar("T")


class AsyncDriver:
    """An HTTP client and the options to call with."""

    def __init__(self, http: httpx2.AsyncClient, options: Options) -> None:
        self.http = http
        self.options = options

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        with closing(operation):
            async with _Connection(self) as connection:
                step = advance(operation, None)
                while not isinstance(step, Done):
                    step = advance(operation, await connection.perform(step))
                return step.value

    async def iterate(self, operation: Operation[None]) -> AsyncGenerator[Any, None]:
        """Yield what an operation emits; ending the iteration ends the operation."""
        with closing(operation):
            async with _Connection(self) as connection:
                step = advance(operation, None)
                while not isinstance(step, Done):
                    if isinstance(step, Emit):
                        yield step.item
                    step = advance(operation, await connection.perform(step))


class _Connection:
    """One operation's open answer, if there is one."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._http = driver.http
        self._options = driver.options
        self._open = AsyncExitStack()
        self._pieces: AsyncIterator[bytes | str] | None = None
        self._request = Request("GET", "/")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    async def perform(self, effect: Effect) -> Any:
        """The effect's outcome; a ConnectionFailed is returned, for the operation to decide about."""
        match effect:
            case Send(request):
                return await self._send(request)
            case Open(request, events):
                return await self._open_answer(request, events=events)
            case Next():
                return await self._next()
            case Sleep(seconds):
                return await anyio.sleep(seconds)
            case Now():
                return time.monotonic()
            case Emit():
                return None

    async def _send(self, request: Request) -> Answer | ConnectionFailed:
        try:
            with built(self._http, request, self._options) as message:
                response = await self._http.send(message)
        except httpx2.RequestError as error:
            return failure(error, request)
        return answer_of(response, response.content)

    async def _open_answer(self, request: Request, *, events: bool) -> Answer | ConnectionFailed:
        await self._open.aclose()
        self._request = request
        try:
            with built(self._http, request, self._options) as message:
                response = await self._http.send(message, stream=True)
            self._open.push_async_callback(response.aclose)
            if not response.is_success:
                return answer_of(response, await response.aread())
        except httpx2.RequestError as error:
            return failure(error, request)
        self._pieces = _events(response) if events else response.aiter_bytes()
        return answer_of(response)

    async def _next(self) -> bytes | str | ConnectionFailed | None:
        if self._pieces is None:
            return None
        try:
            return await anext(self._pieces, None)
        except httpx2.RequestError as error:
            return failure(error, self._request)


async def _events(response: httpx2.Response) -> AsyncIterator[str]:
    async for event in httpx2.EventSource(response, MAX_EVENT_BYTES):
        if event.data:  # one without, such as a word on when to come back, is no event
            yield event.data
