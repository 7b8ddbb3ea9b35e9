"""Requests under way in this process: what is told of each, numbered, and to which API process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ist_core.errors import EngineError
from store.chat_intake import ChatIntake
from store.chat_orders import ChatOrder, Piece, Refusal, Reply
from worker.inference.refused import Refused


class Written(Protocol):
    """What the engine has added to one of a request's answers (`ist_core.inference.Delta`, without torch)."""

    @property
    def request_id(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"] | None: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def error(self) -> EngineError | None: ...


@dataclass(slots=True)
class _Running:
    order: ChatOrder
    seq: int = 0
    finished: set[int] = field(default_factory=set)


class Answers:
    """All that are under way, and what is still to be told: Redis may be away for a while."""

    def __init__(self, intake: ChatIntake) -> None:
        self._intake = intake
        self._running: dict[str, _Running] = {}
        self._outbox: list[tuple[str, Reply]] = []

    @property
    def ids(self) -> list[str]:
        """Of the requests under way."""
        return list(self._running)

    @property
    def rows(self) -> int:
        """How many answers they have together."""
        return sum(running.order.n for running in self._running.values())

    def begin(self, order: ChatOrder) -> None:
        """A request is under way from now on."""
        self._running[order.id] = _Running(order)

    def forget(self, request_id: str) -> None:
        """Nobody wants it any more."""
        del self._running[request_id]

    def write(self, deltas: Iterable[Written]) -> list[str]:
        """Note what was written; returns the requests that an error ended."""
        failed = []
        for delta in deltas:
            running = self._running.get(delta.request_id)
            if running is None:
                continue  # another of its answers has failed
            if delta.error is not None:
                self.refuse(Refused.by(delta.error), delta.request_id)
                failed.append(delta.request_id)
                continue
            self._outbox.append((running.order.reply_to, _piece(delta, running.seq)))
            running.seq += 1
            if delta.finish_reason is not None:
                running.finished.add(delta.index)
            if len(running.finished) == running.order.n:
                del self._running[delta.request_id]
        return failed

    def refuse(self, refused: Refused, *ids: str) -> None:
        """End requests by an error."""
        for request_id in ids:
            running = self._running.pop(request_id)
            refusal = Refusal(
                id=request_id,
                seq=running.seq,
                status=refused.status,
                code=refused.code,
                message=refused.message,
                param=refused.param,
            )
            self._outbox.append((running.order.reply_to, refusal))

    def send(self) -> None:
        """Tell what there is to tell. Raises RedisError; then it is told, perhaps again, the next time."""
        if self._outbox:
            self._intake.reply(self._outbox)
            self._outbox.clear()


def _piece(delta: Written, seq: int) -> Piece:
    return Piece(
        id=delta.request_id,
        seq=seq,
        index=delta.index,
        text=delta.text,
        finish_reason=delta.finish_reason,
        prompt_tokens=delta.prompt_tokens,
        completion_tokens=delta.completion_tokens,
    )
