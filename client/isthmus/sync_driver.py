"""Runs operations with blocking I/O: the one place where the synchronous client touches network and clock."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from typing import Any, Self, TypeVar

import httpx2

from isthmus.core.effects import Answer, Done, Effect, Emit, Next, Now, Open, Operation, Send, Sleep, advance
from isthmus.core.http import MAX_EVENT_BYTES, answer_of, built, failure
from isthmus.core.request import Request
from isthmus.errors import ConnectionFailed
from isthmus.options import Options

T = TypeVar("T")


class SyncDriver:
    """An HTTP client and the options to call with."""

    def __init__(self, http: httpx2.Client, options: Options) -> None:
        self.http = http
        self.options = options

    def run(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        with closing(operation), _Connection(self) as connection:
            step = advance(operation, None)
            while not isinstance(step, Done):
                step = advance(operation, connection.perform(step))
            return step.value

    def iterate(self, operation: Operation[None]) -> Generator[Any, None, None]:
        """Yield what an operation emits; ending the iteration ends the operation."""
        with closing(operation), _Connection(self) as connection:
            step = advance(operation, None)
            while not isinstance(step, Done):
                if isinstance(step, Emit):
                    yield step.item
                step = advance(operation, connection.perform(step))


class _Connection:
    """One operation's open answer, if there is one."""

    def __init__(self, driver: SyncDriver) -> None:
        self._http = driver.http
        self._options = driver.options
        self._open = ExitStack()
        self._pieces: Iterator[bytes | str] = iter(())
        self._request = Request("GET", "/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def perform(self, effect: Effect) -> Any:
        """The effect's outcome; a ConnectionFailed is returned, for the operation to decide about."""
        match effect:
            case Send(request):
                return self._send(request)
            case Open(request, events):
                return self._open_answer(request, events=events)
            case Next():
                return self._next()
            case Sleep(seconds):
                return time.sleep(seconds)
            case Now():
                return time.monotonic()
            case Emit():
                return None

    def _send(self, request: Request) -> Answer | ConnectionFailed:
        try:
            with built(self._http, request, self._options) as message:
                response = self._http.send(message)
        except httpx2.RequestError as error:
            return failure(error, request)
        return answer_of(response, response.content)

    def _open_answer(self, request: Request, *, events: bool) -> Answer | ConnectionFailed:
        self._open.close()
        self._request = request
        try:
            with built(self._http, request, self._options) as message:
                response = self._http.send(message, stream=True)
            self._open.callback(response.close)
            if not response.is_success:
                return answer_of(response, response.read())
        except httpx2.RequestError as error:
            return failure(error, request)
        self._pieces = _events(response) if events else response.iter_bytes()
        return answer_of(response)

    def _next(self) -> bytes | str | ConnectionFailed | None:
        try:
            return next(self._pieces, None)
        except httpx2.RequestError as error:
            return failure(error, self._request)


def _events(response: httpx2.Response) -> Iterator[str]:
    # One without data, such as a word on when to come back, is no event.
    return (event.data for event in httpx2.EventSource(response, MAX_EVENT_BYTES) if event.data)
