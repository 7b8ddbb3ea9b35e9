"""What jobs told long ago: read in blocks, each by one of all who ask for it, and kept for the next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from anyio import CapacityLimiter

from api.job_reader import PAGE, JobReader
from api.strip import Slice, Strip
from api.threads import in_thread

READERS = 4
"""So many reads at a time: a thousand readers who come back at once leave connections for others."""
KEPT_BYTES = 32 * 1024 * 1024

Key = TypeVar("Key")
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """Of all who ask for one thing at one time, the first has it fetched for all."""

    def __init__(self) -> None:
        self._under_way: dict[Key, asyncio.Task[Value]] = {}

    async def fetch(self, key: Key, fetch: Callable[[], Awaitable[Value]]) -> Value:
        """What `fetch` brings, or is bringing. Raises what it raises."""
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(fetch())
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # One who leaves must not take it from the others.
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what is under way, however it ends."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _forget(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen, even if all who asked have left


class History:
    """The process's memory of old frames, the least used forgotten first."""

    def __init__(self, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._blocks: OrderedDict[tuple[str, int], Strip] = OrderedDict()
        self._kept_bytes = kept_bytes
        self._size = 0
        self._reads = SingleFlight[tuple[str, int], Strip]()
        self._threads = CapacityLimiter(READERS)

    async def slice(self, reader: JobReader, cursor: int) -> Slice:
        """What follows a number that is below the job's last. Raises what the database raises."""
        key = (reader.job_id, cursor // PAGE)
        block = self._blocks.get(key)
        # A block that was read while the job went on ends before its time.
        while block is None or cursor >= block.end:
            block = await self._reads.fetch(key, lambda: self._read(reader, key))
        if key in self._blocks:
            self._blocks.move_to_end(key)
        return block.slice(cursor)

    async def drain(self) -> None:
        """Wait for the reads under way."""
        await self._reads.drain()

    async def _read(self, reader: JobReader, key: tuple[str, int]) -> Strip:
        start = key[1] * PAGE
        block = await in_thread(partial(reader.block, start, start + PAGE), self._threads)
        replaced = self._blocks.pop(key, None)
        self._blocks[key] = block
        self._size += _cost(block) - (0 if replaced is None else _cost(replaced))
        while self._size > self._kept_bytes:
            _, oldest = self._blocks.popitem(last=False)
            self._size -= _cost(oldest)
        return block


def _cost(block: Strip) -> int:
    """Its frames, and the slices that are made of them for the two transports."""
    return 3 * block.size
