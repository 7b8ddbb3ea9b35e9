"""A watched job: what is new is read once and serialised once for all its watchers in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from anyio import CapacityLimiter

from api.errors import bad_request, unauthorized
from api.history import History, SingleFlight
from api.job_reader import JobReader, Look, Snapshot
from api.keyring import KeyRing
from api.live import LiveHub
from api.strip import Frame, Slice, Strip
from api.threads import in_thread
from api.wire.frames import EndFrame
from store.database import DATABASE_AWAY, Database
from store.keys import Holder

POLL_SECONDS = 2.0
"""Without a ping for so long, look all the same: a ping may be lost, a row is not, and keys die."""
RECENT_BYTES = 2 * 1024 * 1024
"""So much of what was new is kept for watchers who take it a little later; who is further behind reads it."""
COMERS = 4
LOOKERS = 4

OVER = "end"
"""The id of the last frame: who comes back with it, as an EventSource does by itself, has all."""
NOTHING = Slice((), 0)

logger = logging.getLogger(__name__)


class Feed:
    """Looks for what is new at each ping, and tells its watchers."""

    def __init__(
        self,
        reader: JobReader,
        live: LiveHub,
        threads: CapacityLimiter,
        snapshots: SingleFlight[tuple[str, str], Snapshot],
    ) -> None:
        self.reader = reader
        self.watchers: set[Watcher] = set()
        self.recent: Strip | None = None
        """What was new since the first look, which finds where the job is; None: before that."""
        self.snapshot: Snapshot | None = None
        """The job after the latest event that was looked at."""
        self.ended = False
        self.error: Exception | None = None
        self._live = live
        self._threads = threads
        self._told = asyncio.Event()
        self._snapshots = snapshots

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            # Listen before the first look, or what is written between the two would wait for the next ping.
            with self._live.watch(self.reader.job_id) as pinged:
                self.recent = await self._start()
                self._tell()
                while True:
                    pinged.clear()
                    if not await self._look():
                        await _wait(pinged)
        except Exception as error:
            self.error = error  # each watcher raises it
            self._tell()

    async def first_snapshot(self, *, at_least: int) -> Snapshot:
        """The job as it is now; shared by those who come together, unless one knows of more than it tells."""
        shared = await self._snapshots.fetch(
            (self.reader.project_id, self.reader.job_id), self._read_snapshot
        )
        return shared if shared.last_seq >= at_least else await self._read_snapshot()

    async def changed(self, patience: float | None) -> bool:
        """Wait until there is something to tell; False: not within `patience` seconds."""
        if patience is None:  # of a thousand watchers, each saves a timer
            return await self._told.wait()
        try:
            async with asyncio.timeout(patience):
                return await self._told.wait()
        except TimeoutError:
            return False

    async def _start(self) -> Strip:
        tip = await in_thread(self.reader.tip, self._threads)
        return Strip(tip, tip)

    async def _read_snapshot(self) -> Snapshot:
        return await in_thread(self.reader.snapshot, self._threads)

    async def _look(self) -> bool:
        """Look once; returns whether there is more. While the database is away, watchers wait for it."""
        assert self.recent is not None  # noqa: S101  # for the type checker
        key_ids = {watcher.holder.key_id for watcher in self.watchers}
        try:
            look = await in_thread(partial(self.reader.look, self.recent.end, key_ids), self._threads)
        except DATABASE_AWAY as error:
            logger.warning("streams of job %s wait, the database is away: %s", self.reader.job_id, error)
            return False
        self._take(self.recent, look)
        return look.more

    def _take(self, recent: Strip, look: Look) -> None:
        if look.dead:
            for watcher in self.watchers:
                if watcher.holder.key_id in look.dead:
                    watcher.error = unauthorized()
        if look.snapshot is not None:
            self.snapshot = look.snapshot
        if look.tip > recent.end:
            recent.extend(look.frames, look.tip)
            recent.trim(RECENT_BYTES)
        news = bool(look.frames or look.dead or look.ended > self.ended)
        self.ended = look.ended
        if news:
            self._tell()

    def _tell(self) -> None:
        self._told.set()
        self._told.clear()


class Watcher:
    """One reader of a feed: where it is, and what it gets next."""

    def __init__(self, feed: Feed, history: History, holder: Holder, after: int) -> None:
        self.holder = holder
        self.error: Exception | None = None
        self.cursor = after
        self._feed = feed
        self._history = history
        self._job_seq = -1
        """The number up to which the job that it was shown tells."""

    async def open(self) -> Slice:
        """The first frame: the job as it is. Raises ApiError for no such job, or a cursor beyond its end."""
        snapshot = await self._feed.first_snapshot(at_least=self.cursor)
        if self.cursor > snapshot.last_seq:
            raise bad_request(
                f"after: {self.cursor} is beyond the job's last number, {snapshot.last_seq}",
                param="after",
                code="unknown_cursor",
            )
        return Slice([self._show(snapshot)], self.cursor)

    async def next(self, patience: float | None = None) -> Slice:
        """What comes next; nothing: not within `patience` seconds. Raises ApiError once the key is dead."""
        feed = self._feed
        while True:
            if (error := self.error or feed.error) is not None:
                raise error
            if feed.recent is not None:
                if self.cursor < feed.recent.start:
                    return self._at(await self._history.slice(feed.reader, self.cursor))
                if self.cursor < feed.recent.end:
                    return self._at(feed.recent.slice(self.cursor))
                if feed.snapshot is not None and feed.snapshot.last_seq > self._job_seq:
                    return Slice([self._show(feed.snapshot)], self.cursor)
                if feed.ended:
                    return Slice([Frame.of(self.cursor, "end", EndFrame(), id_=OVER)], self.cursor, last=True)
            if not await feed.changed(patience):
                return NOTHING

    def _at(self, part: Slice) -> Slice:
        self.cursor = part.cursor
        return part

    def _show(self, snapshot: Snapshot) -> Frame:
        self._job_seq = snapshot.last_seq
        return Frame(self.cursor, "job", b'{"seq":%d,"type":"job","data":%b}' % (self.cursor, snapshot.json))


class Feeds:
    """The feeds of this process: one for each job that somebody watches."""

    def __init__(self, database: Database, keys: KeyRing, live: LiveHub) -> None:
        self.threads = CapacityLimiter(COMERS)
        """Of those who come: a crowd leaves connections to the database for requests, and for who looks."""
        self._lookers = CapacityLimiter(LOOKERS)
        self._database = database
        self._keys = keys
        self._live = live
        self._history = History()
        self._snapshots = SingleFlight[tuple[str, str], Snapshot]()
        self._open: dict[tuple[str, str], tuple[Feed, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, database: Database, keys: KeyRing, live: LiveHub) -> AsyncIterator[Self]:
        """Feeds that leave the database alone when the block has ended."""
        feeds = cls(database, keys, live)
        try:
            yield feeds
        finally:
            for task in feeds._tasks:
                task.cancel()
            await asyncio.gather(*feeds._tasks, return_exceptions=True)
            await feeds._snapshots.drain()
            await feeds._history.drain()

    @property
    def jobs(self) -> int:
        """How many jobs are watched."""
        return len(self._open)

    @asynccontextmanager
    async def watch(self, holder: Holder, job_id: str, after: int) -> AsyncIterator[Watcher]:
        """A watcher after a cursor; a job's last one takes the feed with it."""
        key = (holder.project_id, job_id)
        feed, task = self._open.get(key) or self._start(key)
        watcher = Watcher(feed, self._history, holder, after)
        feed.watchers.add(watcher)
        try:
            yield watcher
        finally:
            feed.watchers.discard(watcher)
            if not feed.watchers:
                del self._open[key]
                task.cancel()

    def _start(self, key: tuple[str, str]) -> tuple[Feed, asyncio.Task[None]]:
        project_id, job_id = key
        reader = JobReader(self._database, self._keys, project_id, job_id)
        feed = Feed(reader, self._live, self._lookers, self._snapshots)
        task = asyncio.create_task(feed.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open[key] = (feed, task)
        return feed, task


async def _wait(pinged: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await pinged.wait()
    except TimeoutError:
        return  # look anyway
