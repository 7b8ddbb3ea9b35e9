"""The live bus as the API reads it: one Redis subscription a process, however many watchers."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Self

import redis.asyncio
from redis.exceptions import RedisError

from store.bus import job_channel

RECONNECT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class LiveHub:
    """Wakes a job's feed when its channel says that there is more to read.

    A wake-up carries nothing and several melt into one; the feed reads what is new from the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @classmethod
    @asynccontextmanager
    async def running(cls, url: str) -> AsyncIterator[Self]:
        """A hub that listens in the background until the block ends."""
        hub = cls(url)
        task = asyncio.create_task(hub._listen_for_ever())
        try:
            yield hub
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at each ping of the job, from now on."""
        channel, event = job_channel(job_id), asyncio.Event()
        self._watchers[channel].add(event)
        try:
            yield event
        finally:
            self._watchers[channel].discard(event)
            if not self._watchers[channel]:
                del self._watchers[channel]

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                logger.warning("the live bus is away, feeds look on their own meanwhile: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=5.0)
        async with client, client.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.psubscribe(job_channel("*"))
            self._wake_all()  # pings may have been missed before
            async for message in subscription.listen():
                for event in self._watchers.get(message["channel"].decode(), ()):
                    event.set()

    def _wake_all(self) -> None:
        for events in self._watchers.values():
            for event in events:
                event.set()
