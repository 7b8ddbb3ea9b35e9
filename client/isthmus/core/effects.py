"""What an operation asks its driver for, and what it is told."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from isthmus.core.request import Request
from isthmus.errors import ConnectionFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: of `Open`, its head; of `Send`, all of it. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the service did what it was asked."""
        return 200 <= self.status < 300

    @property
    def request_id(self) -> str | None:
        """How the service's log names the request."""
        return self.headers.get("x-request-id")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request and read its whole answer: an `Answer`. Raises ConnectionFailed."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and leave the body of a good answer unread: an `Answer`. Raises ConnectionFailed.

    The driver closes it at the next `Open` and at the end of the operation, however that comes.
    """

    request: Request
    events: bool = False
    """Whether the body is read as server-sent events, else as bytes."""


@dataclass(frozen=True, slots=True)
class Next:
    """The open answer's next piece, `bytes` or the `str` data of an event; None at its end.

    Raises ConnectionFailed.
    """


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """The time of a clock that never goes back, in seconds."""


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Hand an item to whoever iterates over the operation."""

    item: T


Effect: TypeAlias = Send | Open | Next | Sleep | Now | Emit[Any]
Operation: TypeAlias = Generator[Effect, Any, T]
"""Ends with a T."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What an operation came to."""

    value: T


def advance(operation: Operation[T], outcome: Any) -> Effect | Done[T]:
    """Tell an operation the outcome of its last effect (None at first); returns its next, or its end.

    A ConnectionFailed is raised inside the operation, which decides about it.
    """
    try:
        if isinstance(outcome, ConnectionFailed):
            return operation.throw(outcome)
        return operation.send(outcome)
    except StopIteration as stop:
        return Done(stop.value)
