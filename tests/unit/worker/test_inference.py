"""The inference process's loop around a base model that a test plays, on a real Redis."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import redis

from ist_core.errors import EngineError
from store.chat_intake import ChatIntake, chat_load
from store.chat_orders import ChatOrder, Piece, Refusal, Reply, Turn
from store.chat_queue import ChatQueue
from store.settings import Settings
from worker.inference.process import InferenceProcess
from worker.inference.refused import Refused

SECONDS = 20.0


@dataclass(frozen=True)
class Token:
    """What a step adds to an answer."""

    request_id: str
    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None
    prompt_tokens: int = 3
    completion_tokens: int = 1
    error: EngineError | None = None


@dataclass
class PlayedBase:
    """Writes `x` for every answer at each step, and ends those that have their `max_tokens`."""

    name: str
    left: dict[str, int] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    together: int = 0
    """The most requests at one step."""

    def submit(self, order: ChatOrder) -> None:
        match order.messages[0].content:
            case "refuse":
                raise Refused(400, "context_length_exceeded", "too long", param="messages")
            case "break":
                raise RuntimeError("a fault")
        self.left[order.id] = order.max_tokens or 0

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)
        self.left.pop(request_id, None)

    def step(self) -> list[Token]:
        self.together = max(self.together, len(self.left))
        tokens = []
        for request_id in list(self.left):
            if self.left[request_id] == 13:
                raise RuntimeError("the engine has failed")
            if self.left[request_id] == 17:
                gone = EngineError("the adapter is gone", param="model")
                tokens.append(Token(request_id, 0, "", None, error=gone))
                continue
            self.left[request_id] -= 1
            is_last = self.left[request_id] <= 0
            tokens.append(Token(request_id, 0, "x", "length" if is_last else None))
            if is_last:
                del self.left[request_id]
        return tokens


class Running:
    """An inference process in a thread, and the API's side of its queue."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.settings = settings
        self.redis = client
        self.queue = ChatQueue(settings.redis_url, settings.queue, "api")
        self.loaded: list[PlayedBase] = []
        self.cleared = 0
        self.stop = threading.Event()
        intake = ChatIntake(client, settings.queue, "here:1")
        self.process = InferenceProcess(
            settings, intake, self.stop, load=self._load, clear_away=self._clear_away
        )
        self._thread = threading.Thread(target=self.process.run)

    async def start(self) -> None:
        self._thread.start()
        await self.until(lambda: chat_load(self.redis, self.settings.queue).processes == 1)

    async def ask(self, *orders: ChatOrder) -> None:
        for order in orders:
            assert await self.queue.put(order, limit=10) == "waiting"

    async def replies(self, *ids: str) -> dict[str, list[Reply]]:
        """What is told of these requests, to the end of each."""
        found: dict[str, list[Reply]] = {request_id: [] for request_id in ids}

        def is_over(told: list[Reply]) -> bool:
            return bool(told) and (isinstance(told[-1], Refusal) or told[-1].finish_reason is not None)

        async with asyncio.timeout(SECONDS):
            while not all(is_over(found[request_id]) for request_id in ids):
                for reply in await self.queue.read():
                    found.setdefault(reply.id, []).append(reply)
        return found

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not done():
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.stop.set()
        await asyncio.to_thread(self._thread.join, SECONDS)
        await self.queue.close()
        assert not self._thread.is_alive()

    def _load(self, base: str) -> PlayedBase:
        if base == "huge":
            raise Refused(400, "model_too_large", "too large", param="model")
        if base == "broken":
            raise RuntimeError("a fault")
        self.loaded.append(PlayedBase(base))
        return self.loaded[-1]

    def _clear_away(self) -> None:
        self.cleared += 1


@pytest.fixture
async def running(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """A process of two answers at once."""
    monkeypatch.setattr("worker.inference.process.WAIT_SECONDS", 0.05)
    monkeypatch.setattr("worker.inference.process.CARE_SECONDS", 0.02)
    settings = Settings(
        database_url="postgresql://nowhere/none",
        redis_url=redis_url,
        data_dir=tmp_path,
        chat_max_batch=2,
        stop_grace_seconds=0.2,
        chat_idle_minutes=0.001,
    )
    found = Running(settings, redis_client)
    await found.start()
    yield found
    await found.end()
    redis_client.flushall()


def order(name: str, *, base: str = "a", tokens: int = 3, content: str = "Hello") -> ChatOrder:
    return ChatOrder(
        id=name,
        project="p",
        base=base,
        adapter=None,
        messages=(Turn(role="user", content=content),),
        max_tokens=tokens,
        temperature=1.0,
        top_p=1.0,
        stop=(),
        seed=None,
        n=1,
        reply_to="api",
        request_id=None,
    )


async def test_answers_are_told_token_by_token(running: Running) -> None:
    await running.ask(order("one"))
    told = (await running.replies("one"))["one"]
    assert [reply.seq for reply in told] == [0, 1, 2]
    assert all(isinstance(reply, Piece) for reply in told)
    assert [base.name for base in running.loaded] == ["a"]


async def test_requests_of_one_base_go_together_and_the_others_come(running: Running) -> None:
    await running.ask(order("1", tokens=50), order("2", base="b"), order("3"), order("4", base="b"))
    await running.replies("1", "2", "3", "4")
    assert [base.name for base in running.loaded] == ["a", "b"]
    assert running.loaded[0].together == 2
    assert running.cleared >= 1


async def test_no_more_are_taken_than_can_be_answered_at_once(running: Running) -> None:
    await running.ask(*(order(str(number), tokens=200) for number in range(4)))
    await running.replies("0", "1", "2", "3")
    assert running.loaded[0].together == 2


async def test_a_request_that_nobody_wants_is_let_go_of(running: Running) -> None:
    endless = order("endless", tokens=10**9)
    await running.ask(endless)
    await running.until(lambda: bool(running.loaded and running.loaded[0].left))
    await running.queue.drop(endless)
    await running.until(lambda: "endless" in running.loaded[0].cancelled)
    await running.ask(order("next"))
    assert len((await running.replies("next"))["next"]) == 3


async def test_one_that_is_dropped_while_it_waits_is_not_begun(running: Running) -> None:
    blockers = [order(f"blocker-{number}", tokens=10**9) for number in range(2)]
    await running.ask(*blockers)
    await running.until(lambda: bool(running.loaded) and len(running.loaded[0].left) == 2)
    unwanted = order("unwanted")
    await running.ask(unwanted)
    await running.queue.drop(unwanted)
    for blocker in blockers:
        await running.queue.drop(blocker)
    await running.ask(order("next"))
    assert "unwanted" not in await running.replies("next")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [("refuse", 400, "context_length_exceeded"), ("break", 500, "internal_error")],
)
async def test_what_cannot_be_begun_is_refused_alone(
    running: Running, content: str, status: int, code: str
) -> None:
    await running.ask(order("bad", content=content), order("good"))
    told = await running.replies("bad", "good")
    (refusal,) = told["bad"]
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (status, code)
    assert len(told["good"]) == 3


@pytest.mark.parametrize(
    ("base", "status", "code"), [("huge", 400, "model_too_large"), ("broken", 500, "internal_error")]
)
async def test_a_base_that_does_not_load_is_refused_to_all_who_wait(
    running: Running, base: str, status: int, code: str
) -> None:
    await running.ask(order("1", base=base), order("2", base=base), order("3"))
    told = await running.replies("1", "2", "3")
    for name in ("1", "2"):
        (refusal,) = told[name]
        assert isinstance(refusal, Refusal)
        assert (refusal.status, refusal.code) == (status, code)
    assert [loaded.name for loaded in running.loaded] == ["a"]


async def test_an_engine_that_fails_is_made_anew(running: Running) -> None:
    await running.ask(order("bad", tokens=13))
    (refusal,) = (await running.replies("bad"))["bad"]
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (500, "internal_error")
    await running.ask(order("good"))
    await running.replies("good")
    assert [base.name for base in running.loaded] == ["a", "a"]


async def test_an_answer_that_the_engine_ends_is_refused(running: Running) -> None:
    await running.ask(order("gone", tokens=17))
    (refusal,) = (await running.replies("gone"))["gone"]
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.message, refusal.param) == (400, "the adapter is gone", "model")
    assert running.loaded[0].cancelled == ["gone"]


async def test_a_redis_that_is_away_for_a_while_loses_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.inference.process.RETRY_SECONDS", 0.01)
    send, failures = ChatIntake.reply, iter(range(3))

    def reply(intake: ChatIntake, replies: Iterable[tuple[str, Reply]]) -> None:
        send(intake, replies)
        if next(failures, None) is not None:
            raise redis.ConnectionError("it was taken, but nobody was told so")

    monkeypatch.setattr(ChatIntake, "reply", reply)
    await running.ask(order("one", tokens=5))
    told = (await running.replies("one"))["one"]
    assert sorted({reply.seq for reply in told}) == list(range(5))
    assert len(told) > 5


async def test_an_idle_base_is_let_go_of(running: Running) -> None:
    await running.ask(order("one"))
    await running.replies("one")
    await running.until(lambda: running.cleared == 1)
    await running.ask(order("two"))
    await running.replies("two")
    assert len(running.loaded) == 2


async def test_one_that_stops_refuses_what_does_not_end_soon(running: Running) -> None:
    await running.ask(order("long", tokens=10**9))
    await running.until(lambda: bool(running.loaded and running.loaded[0].left))
    await running.ask(order("waits", base="b"))
    running.stop.set()
    last = (await running.replies("long"))["long"][-1]
    assert isinstance(last, Refusal)
    assert (last.status, last.code) == (503, "inference_stopping")
    await running.until(lambda: chat_load(running.redis, running.settings.queue).processes == 0)
    assert await running.queue.renew(["waits"]) == {"waits": "unserved"}
