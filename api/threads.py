"""Blocking work beside the event loop that is never left behind half-done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], limiter: CapacityLimiter) -> Result:
    """What `work` returns, called in a thread; a task that is cancelled meanwhile ends when the call has.

    anyio shields its threads from its own cancellations only. A call that outlived its task could still hold
    a database connection when the pool is closed.
    """
    call = asyncio.ensure_future(to_thread.run_sync(work, limiter=limiter))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait({call})
        raise
