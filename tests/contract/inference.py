"""An inference process that a test plays, by the store's functions: what a chat's client then sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal

from store.chat_intake import ChatIntake
from store.chat_orders import ChatKeys, ChatOrder, Piece, Refusal
from tests.contract.conftest import Service

SECONDS = 60.0


class Played:
    """Takes requests and answers them as it is told to."""

    def __init__(self, service: Service, name: str = "played") -> None:
        self.redis = service.redis
        self.keys = ChatKeys(service.settings.queue)
        self.intake = ChatIntake(service.redis, service.settings.queue, name)
        self._seq: dict[str, int] = {}

    def come(self) -> None:
        """Tell that it is there."""
        self.intake.beat()

    def go(self) -> None:
        """Be gone, as one that was killed is when its time has run out."""
        self.intake.leave()

    def take(self) -> ChatOrder:
        """The next request, once there is one."""
        taken: list[ChatOrder] = []

        def take() -> bool:
            claimed = (self.intake.claim(request) for request in self.intake.waiting())
            taken.extend(islice((order for order in claimed if order is not None), 1))
            return bool(taken)

        until(take)
        return taken[0]

    def write(
        self,
        order: ChatOrder,
        text: str,
        finish: Literal["stop", "length"] | None = None,
        *,
        index: int = 0,
        tokens: int = 1,
        skip: int = 0,
    ) -> None:
        """Go on with an answer; `skip` loses so many replies before this one."""
        seq = self._seq.get(order.id, 0) + skip
        self._seq[order.id] = seq + 1
        piece = Piece(
            id=order.id,
            seq=seq,
            index=index,
            text=text,
            finish_reason=finish,
            prompt_tokens=7,
            completion_tokens=tokens,
        )
        self.intake.reply([(order.reply_to, piece)])

    def answer(self, order: ChatOrder, text: str) -> None:
        """Say this in each of its answers, a word at a time."""
        words = [f"{word} " for word in text.split()]
        for index in range(order.n):
            for number, word in enumerate(words, 1):
                end: Literal["stop"] | None = "stop" if number == len(words) else None
                self.write(order, word, end, index=index, tokens=number)

    def refuse(self, order: ChatOrder, status: int, code: str, param: str | None = None) -> None:
        """End a request by an error."""
        seq = self._seq.get(order.id, 0)
        refusal = Refusal(id=order.id, seq=seq, status=status, code=code, message="because", param=param)
        self.intake.reply([(order.reply_to, refusal)])

    def is_wanted(self, order: ChatOrder) -> bool:
        """Whether somebody waits for the answer."""
        return not self.intake.unwanted([order.id])


@contextmanager
def answering(service: Service, text: str) -> Iterator[None]:
    """A process that says `text`, a word at a time, to whatever it is asked, until the block ends."""
    over = threading.Event()

    def work() -> None:
        process = Played(service, "answering")
        while not over.wait(0.01):
            process.come()
            for request in process.intake.waiting():
                order = process.intake.claim(request)
                if order is not None:
                    process.answer(order, text)
        process.go()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


def until(done: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
