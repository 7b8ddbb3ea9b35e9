"""The queue of chat requests in Redis: bounded, renewed, answered through one stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from store.chat_intake import ChatIntake, chat_load
from store.chat_orders import LIVE_SECONDS, ChatKeys, ChatOrder, Piece, Turn, Waiting
from store.chat_queue import ChatQueue

QUEUE = "test"
KEYS = ChatKeys(QUEUE)


@pytest.fixture
def intake(redis_client: redis.Redis) -> ChatIntake:
    """A process that is there."""
    process = ChatIntake(redis_client, QUEUE, "here:1:a")
    process.beat()
    return process


@pytest.fixture
async def queue(redis_url: str, redis_client: redis.Redis) -> AsyncIterator[ChatQueue]:
    found = ChatQueue(redis_url, QUEUE, "api")
    yield found
    await found.close()


def order(name: str, *, base: str = "a model", reply_to: str = "api") -> ChatOrder:
    return ChatOrder(
        id=name,
        project="proj-1",
        base=base,
        adapter=None,
        messages=(Turn(role="user", content="Hello"),),
        max_tokens=None,
        temperature=1.0,
        top_p=1.0,
        stop=(),
        seed=None,
        n=1,
        reply_to=reply_to,
        request_id=None,
    )


def piece(name: str, seq: int) -> Piece:
    return Piece(
        id=name, seq=seq, index=0, text="x", finish_reason=None, prompt_tokens=1, completion_tokens=1
    )


async def test_a_full_queue_counts_only_what_is_still_wanted(
    queue: ChatQueue, intake: ChatIntake, redis_client: redis.Redis
) -> None:
    assert [await queue.put(order(name), limit=2) for name in "abc"] == ["waiting", "waiting", "full"]
    redis_client.delete(KEYS.request("a"))  # as when its API process was killed, after a while
    assert await queue.put(order("c"), limit=2) == "waiting"
    assert [request.id for request in intake.waiting()] == ["b", "c"]


async def test_a_request_lives_as_long_as_it_is_renewed(
    queue: ChatQueue, intake: ChatIntake, redis_client: redis.Redis
) -> None:
    await queue.put(order("a"), limit=2)
    redis_client.expire(KEYS.request("a"), 1)
    assert await queue.renew(["a", "b"]) == {"a": "waiting", "b": "gone"}
    assert redis_client.ttl(KEYS.request("a")) > LIVE_SECONDS - 5


async def test_a_request_is_taken_once(
    queue: ChatQueue, intake: ChatIntake, redis_client: redis.Redis
) -> None:
    asked = order("a")
    await queue.put(asked, limit=2)
    (request,) = intake.waiting()
    assert request == Waiting("a", "proj-1", "a model")
    assert intake.claim(request) == asked
    assert ChatIntake(redis_client, QUEUE, "here:2:b").claim(request) is None
    assert await queue.renew(["a"]) == {"a": "taken"}
    intake.forget("here:1:a")
    assert await queue.renew(["a"]) == {"a": "orphaned"}


async def test_without_a_process_nothing_is_queued(queue: ChatQueue, redis_client: redis.Redis) -> None:
    assert await queue.put(order("a"), limit=2) == "away"
    assert chat_load(redis_client, QUEUE).waiting == 0


async def test_a_silent_process_is_not_there(
    queue: ChatQueue, intake: ChatIntake, redis_client: redis.Redis
) -> None:
    await queue.put(order("a"), limit=2)
    assert chat_load(redis_client, QUEUE).processes == 1
    seconds, _ = redis_client.time()
    redis_client.zadd(KEYS.processes, {"here:1:a": seconds})  # its time has just run out
    assert chat_load(redis_client, QUEUE).processes == 0
    assert await queue.renew(["a"]) == {"a": "unserved"}
    assert await queue.put(order("b"), limit=2) == "away"


async def test_replies_go_on_where_a_connection_broke(
    queue: ChatQueue, intake: ChatIntake, redis_client: redis.Redis
) -> None:
    intake.reply([("api", piece("a", 0)), ("other", piece("b", 0)), ("api", piece("a", 1))])
    assert [reply.seq for reply in await queue.read()] == [0, 1]
    redis_client.client_kill_filter(_type="normal", skipme=True)
    intake.reply([("api", piece("a", 2))])
    found = await after_a_break(queue)
    assert found == [2]
    assert redis_client.xlen(KEYS.replies("api")) == 0


async def after_a_break(queue: ChatQueue) -> list[int]:
    """What is read, after the error of the broken connection, if it is noticed."""
    try:
        return [reply.seq for reply in await queue.read()]
    except redis.ConnectionError:
        return [reply.seq for reply in await queue.read()]
