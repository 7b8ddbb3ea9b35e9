"""Chat requests as the API asks them: a bounded queue in Redis, whose answers come in one stream a process.

A request lives in Redis as long as its API process renews it: to cancel one is to remove it, and one whose
API process was killed ends by itself. The stream is read from where it was left, so that a connection that
breaks loses no answer.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Literal, cast

import redis.asyncio
from pydantic import ValidationError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from store.chat_orders import LIVE_SECONDS, REPLIES, ChatKeys, ChatOrder, Reply, Waiting

BLOCK_MILLISECONDS = 2000
SOCKET_SECONDS = 5.0

# KEYS: waiting, wake, processes, the request
# ARGV: member, order, limit, seconds to live, prefix of requests
_PUT = """
local time = redis.call('TIME')
if redis.call('ZCOUNT', KEYS[3], '(' .. time[1], '+inf') == 0 then return 'away' end
local limit = tonumber(ARGV[3])
if redis.call('ZCARD', KEYS[1]) >= limit then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local id = string.sub(member, 1, string.find(member, ' ', 1, true) - 1)
    if redis.call('EXISTS', ARGV[5] .. id) == 0 then redis.call('ZREM', KEYS[1], member) end
  end
  if redis.call('ZCARD', KEYS[1]) >= limit then return 'full' end
end
redis.call('HSET', KEYS[4], 'order', ARGV[2])
redis.call('EXPIRE', KEYS[4], ARGV[4])
redis.call('ZADD', KEYS[1], time[1] * 1000000 + time[2], ARGV[1])
redis.call('RPUSH', KEYS[2], '1')
redis.call('LTRIM', KEYS[2], -limit, -1)
return 'waiting'
"""
# KEYS: processes. ARGV: seconds to live, prefix of requests, ids
_RENEW = """
local now = tonumber(redis.call('TIME')[1])
local states = {}
for index = 3, #ARGV do
  local key = ARGV[2] .. ARGV[index]
  local state = 'gone'
  if redis.call('EXPIRE', key, ARGV[1]) == 1 then
    local process = redis.call('HGET', key, 'process')
    if not process then
      state = redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') > 0 and 'waiting' or 'unserved'
    else
      local ends = tonumber(redis.call('ZSCORE', KEYS[1], process) or '0')
      state = ends > now and 'taken' or 'orphaned'
    end
  end
  states[#states + 1] = state
end
return states
"""

Put = Literal["waiting", "full", "away"]
"""What became of a new request: it waits, the queue is full, or there is no inference process."""
Progress = Literal["waiting", "unserved", "taken", "orphaned", "gone"]
"""unserved: it waits, and nobody is there; orphaned: its process is gone; gone: Redis has lost it."""


logger = logging.getLogger(__name__)

Entries = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


class ChatQueue:
    """The queue as one API process sees it."""

    def __init__(self, url: str, queue: str, process: str) -> None:
        self.process = process
        self._keys = ChatKeys(queue)
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=SOCKET_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._put = self._redis.register_script(_PUT)
        self._renew = self._redis.register_script(_RENEW)
        self._read_to = "0-0"

    async def put(self, order: ChatOrder, *, limit: int) -> Put:
        """Ask, unless `limit` requests wait already. Raises RedisError."""
        keys = self._keys
        told = await self._put(
            keys=[keys.waiting, keys.wake, keys.processes, keys.request(order.id)],
            args=[Waiting.of(order).member, order.model_dump_json(), limit, LIVE_SECONDS, keys.requests],
        )
        return cast("Put", told.decode())

    async def drop(self, order: ChatOrder) -> None:
        """Nobody wants the answer any more."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zrem(self._keys.waiting, Waiting.of(order).member)
        pipeline.delete(self._keys.request(order.id))
        await pipeline.execute()

    async def renew(self, ids: Collection[str]) -> dict[str, Progress]:
        """Tell that these are still wanted; returns how each is."""
        states = await self._renew(
            keys=[self._keys.processes], args=[LIVE_SECONDS, self._keys.requests, *ids]
        )
        return {key: cast("Progress", state.decode()) for key, state in zip(ids, states, strict=True)}

    async def read(self) -> list[Reply]:
        """The next replies to this process's requests; none after a while of silence."""
        stream = self._keys.replies(self.process)
        told = await self._redis.xread({stream: self._read_to}, count=100, block=BLOCK_MILLISECONDS)
        found = cast("Entries", told)
        replies: list[Reply] = []
        for _, entries in found:
            for entry_id, fields in entries:
                self._read_to = entry_id.decode()
                try:
                    replies += REPLIES.validate_json(fields[b"replies"])
                except ValidationError as error:  # the gap ends the requests that it is about
                    logger.warning("replies that this version does not know: %s", error)
        if found:
            await self._redis.xtrim(stream, minid=self._after(self._read_to), approximate=False)
        return replies

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @staticmethod
    def _after(entry_id: str) -> str:
        """The smallest id behind an entry's."""
        milliseconds, _, number = entry_id.partition("-")
        return f"{milliseconds}-{int(number) + 1}"
