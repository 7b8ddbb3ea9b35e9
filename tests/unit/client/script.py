"""Runs operations of the SDK without I/O, by a script of what the service does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isthmus.core.effects import (
    Answer,
    Done,
    Effect,
    Emit,
    Next,
    Now,
    Open,
    Operation,
    Send,
    Sleep,
    advance,
)
from isthmus.core.request import Request
from isthmus.core.retries import Retries
from isthmus.errors import ConnectionFailed

T = TypeVar("T")
Piece = bytes | str | ConnectionFailed


def retries(most: int = 2) -> Retries:
    """Retries whose jitter is always the most there is: delays of 0.5, 1, 2, .. seconds."""
    return Retries(most, draw=lambda: 1.0)


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    """A whole answer; a body that is no bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def refusal(status: int, code: str = "refused", **headers: str) -> Answer:
    """An answer that refuses, in the service's words."""
    error = {"message": "no", "type": "invalid_request_error", "param": "model", "code": code}
    return answer({"error": error}, status, **headers)


@dataclass
class Connection:
    """An answer whose body comes in pieces; a failure among them breaks it off."""

    head: Answer
    pieces: Sequence[Piece] = ()


@dataclass
class Script:
    """What the service answers, in order, and what the operation did meanwhile."""

    outcomes: list[Answer | Connection | ConnectionFailed]
    requests: list[Request] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    clock: float = 0.0
    _pieces: list[Piece] = field(default_factory=list)

    def run(self, operation: Operation[T]) -> T:
        """Run to the end; every outcome of the script must be used."""
        step = advance(operation, None)
        while not isinstance(step, Done):
            step = advance(operation, self._perform(step))
        assert self.outcomes == []
        return step.value

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request) | Open(request):
                self.requests.append(request)
                return self._answer(self.outcomes.pop(0))
            case Next():
                return self._pieces.pop(0) if self._pieces else None
            case Sleep(seconds):
                self.sleeps.append(seconds)
                self.clock += seconds
            case Now():
                return self.clock
            case Emit(item):
                self.emitted.append(item)
        return None

    def _answer(self, outcome: Answer | Connection | ConnectionFailed) -> Answer | ConnectionFailed:
        if isinstance(outcome, Connection):
            self._pieces = list(outcome.pieces)
            return outcome.head
        return outcome
