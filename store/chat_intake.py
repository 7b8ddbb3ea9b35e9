"""Chat requests as an inference process takes them from the queue, and its answers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import cast

import redis
from pydantic import ValidationError

from store.chat_orders import GONE_SECONDS, REPLIES, ChatKeys, ChatOrder, Reply, Waiting

MOST_REPLIES = 65_536
"""Entries that a stream may hold: far more than an API process that reads lets come together."""
REPLIES_SECONDS = 60

# KEYS: waiting, the request. ARGV: member, process
_CLAIM = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return false end
local order = redis.call('HGET', KEYS[2], 'order')
if order then redis.call('HSET', KEYS[2], 'process', ARGV[2]) end
return order
"""
# KEYS: processes. ARGV: process, seconds to live
_BEAT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
"""
_LIVING = """
return redis.call('ZCOUNT', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')
"""

logger = logging.getLogger(__name__)


class ChatIntake:
    """The queue as the inference process called `process` sees it. Each method may raise RedisError."""

    def __init__(self, client: redis.Redis, queue: str, process: str) -> None:
        self.process = process
        self._redis = client
        self._keys = ChatKeys(queue)
        self._claim = client.register_script(_CLAIM)
        self._beat = client.register_script(_BEAT)

    def waiting(self) -> list[Waiting]:
        """What waits, the oldest first."""
        members = cast("list[bytes]", self._redis.zrange(self._keys.waiting, 0, -1))
        return [Waiting.read(member) for member in members]

    def claim(self, request: Waiting) -> ChatOrder | None:
        """Take a request; None: another process was first, or nobody wants it any more.

        One that this version cannot read is lost, which its API process tells its client.
        """
        key = self._keys.request(request.id)
        order = self._claim(keys=[self._keys.waiting, key], args=[request.member, self.process])
        if order is None:
            return None
        try:
            return ChatOrder.model_validate_json(order)
        except ValidationError as error:
            logger.warning("a request that this version does not know: %s", error)
            self._redis.delete(key)
            return None

    def unwanted(self, ids: Collection[str]) -> set[str]:
        """Those of these requests that nobody wants any more."""
        pipeline = self._redis.pipeline(transaction=False)
        for request_id in ids:
            pipeline.exists(self._keys.request(request_id))
        return {request_id for request_id, found in zip(ids, pipeline.execute(), strict=True) if not found}

    def wait(self, seconds: float) -> None:
        """Return when there may be a new request, or after a while."""
        self._redis.blpop([self._keys.wake], timeout=seconds)

    def reply(self, replies: Iterable[tuple[str, Reply]]) -> None:
        """Send replies, each to its API process."""
        by_process: dict[str, list[Reply]] = {}
        for api_process, reply in replies:
            by_process.setdefault(api_process, []).append(reply)
        pipeline = self._redis.pipeline(transaction=False)
        for api_process, told in by_process.items():
            stream = self._keys.replies(api_process)
            pipeline.xadd(stream, {"replies": REPLIES.dump_json(told)}, maxlen=MOST_REPLIES)
            pipeline.expire(stream, REPLIES_SECONDS)
        pipeline.execute()

    def beat(self) -> None:
        """Tell that this process is there."""
        self._beat(keys=[self._keys.processes], args=[self.process, GONE_SECONDS])

    def leave(self) -> None:
        """Tell that it ends."""
        self.forget(self.process)

    def processes(self) -> list[str]:
        """The inference processes that were there lately."""
        return [
            name.decode() for name in cast("list[bytes]", self._redis.zrange(self._keys.processes, 0, -1))
        ]

    def forget(self, process: str) -> None:
        """Tell that a process is gone: what it had is told to be lost."""
        self._redis.zrem(self._keys.processes, process)


@dataclass(frozen=True, slots=True)
class ChatLoad:
    """How much there is to do, and by how many."""

    waiting: int
    processes: int


def chat_load(client: redis.Redis, queue: str) -> ChatLoad:
    """The queue as it is now. Raises RedisError."""
    keys = ChatKeys(queue)
    waiting = client.zcard(keys.waiting)
    living = client.eval(_LIVING, 1, keys.processes)
    return ChatLoad(waiting, living)
