"""The asynchronous client as if it were blocking, so that one test drives both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isawaitable
from typing import Any, cast

import httpx2
from anyio.from_thread import BlockingPortal
from isthmus import AsyncExport, AsyncIsthmus, AsyncJob, Isthmus
from isthmus.resources.base import AsyncPages, AsyncResource
from isthmus.types.base import Page

WRAPPED = (AsyncExport, AsyncIsthmus, AsyncJob, AsyncPages, AsyncResource)


def blocking(client: AsyncIsthmus, portal: BlockingPortal) -> Isthmus:
    """The client, each of its calls run to the end on the portal's event loop."""
    return cast("Isthmus", _Facade(client, portal))


class _Facade:
    """An object whose coroutines are waited for, and whose asynchronous iterators are plain ones."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        return self._shown(getattr(self._target, name))

    def __iter__(self) -> Iterator[Any]:
        return self._items(self._target.__aiter__())

    def _shown(self, value: Any) -> Any:
        match value:
            case Page():
                data = [self._shown(item) for item in value.data]
                return value.model_copy(update={"data": data})
            case AsyncIterator():
                return self._items(value)
            case _ if isinstance(value, WRAPPED):
                return _Facade(value, self._portal)
            case Callable():
                return self._method(value)
            case _:
                return value

    def _method(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def finish(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            return await result if isawaitable(result) else result

        def call(*args: Any, **options: Any) -> Any:
            return self._shown(self._portal.call(lambda: finish(*args, **options)))

        return call

    def _items(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> tuple[bool, Any]:
            async for item in items:
                return True, item
            return False, None

        while True:
            more, item = self._portal.call(following)
            if not more:
                return
            yield self._shown(item)


class InProcess(httpx2.BaseTransport):
    """Sends a blocking client's requests into an application on the portal's event loop."""

    def __init__(self, transport: httpx2.ASGITransport, portal: BlockingPortal) -> None:
        self._transport = transport
        self._portal = portal

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The application's whole answer."""
        return self._portal.call(self._handle, request)

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        content = request.read()
        message = httpx2.Request(request.method, request.url, headers=request.headers, content=content)
        answer = await self._transport.handle_async_request(message)
        body = await answer.aread()
        # As it came: its headers still say how it is encoded.
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=httpx2.ByteStream(body))
