"""Chat requests under way in this process: asked in the queue, renewed, and their replies handed out.

Two tasks serve all of them: one reads the process's stream of replies, the other renews the requests once a
second and ends those that nobody will answer any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from redis.exceptions import RedisError

from api import chat_errors
from api.errors import ApiError
from store.chat_orders import ChatOrder, Piece, Reply
from store.chat_queue import ChatQueue, Progress
from store.ids import random_text
from store.settings import Settings

RENEW_SECONDS = 1.0
RETRY_SECONDS = 0.5
UNSERVED_SECONDS = 15.0
"""A request waits so long for an inference process that is being started again."""

logger = logging.getLogger(__name__)


class Ticket:
    """A request that was asked, and what is there of its answer."""

    def __init__(self, order: ChatOrder, *, seconds: float) -> None:
        self.order = order
        self.deadline = time.monotonic() + seconds
        self.is_asked = False
        self.unserved_since: float | None = None
        self._pieces: list[Piece] = []
        self._next_seq = 0
        self._open = set(range(order.n))
        self._failure: ApiError | None = None
        self._news = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether all of the answer has come."""
        return not self._open

    def deliver(self, reply: Reply) -> None:
        """Take a reply, which may come twice; one that is missing before it ends the request."""
        if reply.seq < self._next_seq:
            return
        if reply.seq > self._next_seq:
            self.fail(chat_errors.lost())
            return
        self._next_seq += 1
        if not isinstance(reply, Piece):
            self.fail(chat_errors.refused(reply))
            return
        self._pieces.append(reply)
        if reply.finish_reason is not None:
            self._open.discard(reply.index)
        self._news.set()

    def fail(self, error: ApiError) -> None:
        """End the request by an error, behind what has come."""
        self._failure = self._failure or error
        self._news.set()

    async def next(self) -> list[Piece]:
        """What has come since the last call, at least one piece. Raises ApiError at the end of a bad one."""
        await self._news.wait()
        self._news.clear()
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            if self._failure is not None:
                self._news.set()
            return pieces
        assert self._failure is not None  # noqa: S101  # nothing else sets the event
        raise self._failure


class ChatDesk:
    """All chat requests of an API process."""

    def __init__(self, settings: Settings, queue: ChatQueue) -> None:
        self._settings = settings
        self._queue = queue
        self._tickets: dict[str, Ticket] = {}

    @property
    def process(self) -> str:
        """Where answers are to be sent to."""
        return self._queue.process

    @classmethod
    @asynccontextmanager
    async def running(cls, settings: Settings) -> AsyncIterator[Self]:
        """A desk that works in the background until the block ends."""
        queue = ChatQueue(settings.redis_url, settings.queue, random_text(12))
        desk = cls(settings, queue)
        tasks = [asyncio.create_task(work) for work in (desk._read_for_ever(), desk._renew_for_ever())]
        try:
            yield desk
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await queue.close()

    @asynccontextmanager
    async def ask(self, order: ChatOrder) -> AsyncIterator[Ticket]:
        """Ask; whatever ends the block before the answer is complete cancels the request.

        Raises ApiError when it cannot be asked.
        """
        ticket = Ticket(order, seconds=self._settings.chat_request_seconds)
        self._tickets[order.id] = ticket
        try:
            await self._put(order)
            ticket.is_asked = True
            yield ticket
        finally:
            del self._tickets[order.id]
            await asyncio.shield(self._drop(order))

    async def _put(self, order: ChatOrder) -> None:
        try:
            put = await self._queue.put(order, limit=self._settings.chat_queue_limit)
        except (RedisError, OSError) as error:
            logger.warning("the chat queue is away: %s", error)
            raise chat_errors.queue_away() from error
        if put == "full":
            raise chat_errors.queue_full(self._settings.chat_queue_limit)
        if put == "away":
            raise chat_errors.no_process()

    async def _drop(self, order: ChatOrder) -> None:
        try:
            await self._queue.drop(order)
        except (RedisError, OSError) as error:
            logger.warning("a chat request could not be cancelled, it ends by itself: %s", error)

    async def _read_for_ever(self) -> None:
        while True:
            try:
                for reply in await self._queue.read():
                    ticket = self._tickets.get(reply.id)
                    if ticket is not None:
                        ticket.deliver(reply)
            except (RedisError, OSError) as error:
                logger.warning("the chat queue is away: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.is_asked}
            if not tickets:
                continue
            try:
                progress = await self._queue.renew(tickets)
            except (RedisError, OSError) as error:
                logger.warning("the chat queue is away: %s", error)
                progress = {}
            now = time.monotonic()
            for request_id, ticket in tickets.items():
                self._judge(ticket, progress.get(request_id), now)

    def _judge(self, ticket: Ticket, progress: Progress | None, now: float) -> None:
        """End a request that nobody will answer, or not in time."""
        if ticket.complete:
            return
        if progress != "unserved":
            ticket.unserved_since = None
        elif ticket.unserved_since is None:
            ticket.unserved_since = now
        if progress in {"orphaned", "gone"}:
            ticket.fail(chat_errors.lost())
        elif ticket.unserved_since is not None and now > ticket.unserved_since + UNSERVED_SECONDS:
            ticket.fail(chat_errors.no_process())
        elif now > ticket.deadline:
            ticket.fail(chat_errors.too_late(self._settings.chat_request_seconds))
