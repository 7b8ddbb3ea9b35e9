"""Feeds: one a watched job, gone with its last watcher; what is read is read for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest
import redis
import sqlalchemy
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api import feed
from api.errors import ApiError
from api.feed import Feeds, Watcher
from api.history import SingleFlight
from api.keyring import KeyRing
from api.live import LiveHub
from ist_core.records import Message
from store import bus
from store.database import Database
from store.events import append_events
from store.keys import Holder, create_key, revoke_key, use_key_by_id
from store.projects import DEFAULT_PROJECT
from store.settings import Settings
from store.tables import ApiKey
from tests.factories import claimed

Writer = Callable[[str], Awaitable[None]]


class Flaky(Database):
    """PostgreSQL, which can be away."""

    away = False

    @contextmanager
    def session(self) -> Iterator[Session]:
        """As without faults, or none at all."""
        if self.away:
            raise OperationalError("SELECT 1", {}, Exception("away"))
        with super().session() as session:
            yield session


class House:
    """A process's feeds, and a job to watch."""

    def __init__(self, database: Flaky, feeds: Feeds, client: redis.Redis) -> None:
        self.database = database
        self.feeds = feeds
        self.held = claimed(self.database)
        self.holder = self.make_holder()
        self._redis = client
        self._statements = 0
        sqlalchemy.event.listen(self.database.engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._statements += 1

    def make_holder(self) -> Holder:
        with self.database.session() as session:
            key, _ = create_key(session, project_id=DEFAULT_PROJECT, name="k", scopes=frozenset({"read"}))
            holder = use_key_by_id(session, key.id)
        assert holder is not None
        return holder

    def say(self, *texts: str) -> None:
        """Log lines, and tell of them once."""
        with self.database.session() as session:
            messages = [Message(text) for text in texts]
            assert append_events(session, self.held.job_id, self.held.attempt, messages)
        bus.publish_job(self._redis, self.held.job_id, 0)

    @contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """How many statements went to the database since."""
        before = self._statements
        yield lambda: self._statements - before

    @asynccontextmanager
    async def watching(self, count: int, after: int = 0) -> AsyncIterator[list[Watcher]]:
        """So many watchers, opened at once."""
        async with AsyncExitStack() as stack:
            watchers = [
                await stack.enter_async_context(self.feeds.watch(self.holder, self.held.job_id, after))
                for _ in range(count)
            ]
            await asyncio.gather(*(watcher.open() for watcher in watchers))
            yield watchers


async def until(watcher: Watcher, text: str) -> list[str]:
    """The messages that a watcher gets, up to one."""
    taken: list[str] = []
    while text not in taken:
        part = await watcher.next(10.0)
        assert part.frames, f"nothing came after {taken[-3:]}"
        taken += [
            frame.json.decode().partition('"message":"')[2].partition('"')[0]
            for frame in part.frames
            if frame.type == "event"
        ]
    return taken


def run(settings: Settings, client: redis.Redis, test: Callable[[House], Awaitable[None]]) -> None:
    async def body() -> None:
        database = Flaky(settings.database_url)
        async with (
            asyncio.timeout(60),
            LiveHub.running(settings.redis_url) as live,
            Feeds.running(database, KeyRing.of(settings), live) as feeds,
        ):
            await test(House(database, feeds, client))
        database.close()

    asyncio.run(body())


def test_the_last_watcher_takes_the_feed_with_it(settings: Settings, redis_client: redis.Redis) -> None:
    async def test(house: House) -> None:
        idle = len(asyncio.all_tasks())
        async with house.watching(2) as watchers:
            assert house.feeds.jobs == 1
            async with house.watching(1):
                assert house.feeds.jobs == 1
            house.say("still here")
            for watcher in watchers:
                assert "still here" in await until(watcher, "still here")
        assert house.feeds.jobs == 0
        for _ in range(100):
            if len(asyncio.all_tasks()) == idle:
                break
            await asyncio.sleep(0.02)
        assert len(asyncio.all_tasks()) == idle
        with pytest.raises(ApiError):
            async with house.feeds.watch(house.holder, "ftjob-none", 0) as nobody:
                await nobody.open()
        assert house.feeds.jobs == 0

    run(settings, redis_client, test)


def test_reads_do_not_grow_with_the_watchers(
    settings: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 60.0)

    async def test(house: House) -> None:
        counts, heard = [], []
        for round_, size in enumerate((1, 200)):
            with house.counting() as counted:
                async with house.watching(size) as watchers:
                    for n in range(10):
                        house.say(f"{round_}.{n}.")
                        heard.append(
                            await asyncio.gather(*(until(watcher, f"{round_}.{n}.") for watcher in watchers))
                        )
                counts.append(counted())
        assert len(heard[-1]) == 200
        assert counts[1] <= 1.5 * counts[0], "two hundred watchers read more than one"

    run(settings, redis_client, test)


def test_a_crowd_that_comes_back_reads_the_past_once(settings: Settings, redis_client: redis.Redis) -> None:
    async def test(house: House) -> None:
        house.say(*(f"{n}." for n in range(2000)), "last")
        with house.counting() as counted:
            async with house.watching(200) as watchers:
                heard = await asyncio.gather(*(until(watcher, "last") for watcher in watchers))
        assert all(messages == heard[0] for messages in heard)
        assert [*heard[0][-2001:]] == [*(f"{n}." for n in range(2000)), "last"]
        assert counted() < 100

    run(settings, redis_client, test)


def test_the_slow_read_the_past_and_miss_nothing(
    settings: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECENT_BYTES", 2000)

    async def test(house: House) -> None:
        async with house.watching(2) as (quick, slow):
            for n in range(50):
                house.say(f"{n}.")
                await until(quick, f"{n}.")
            messages = await until(slow, "49.")
            assert messages[-50:] == [f"{n}." for n in range(50)]

    run(settings, redis_client, test)


def test_a_dead_key_ends_its_own_watchers(settings: Settings, redis_client: redis.Redis) -> None:
    async def test(house: House) -> None:
        other = house.make_holder()
        async with (
            house.watching(1) as (kept,),
            house.feeds.watch(other, house.held.job_id, 0) as lost,
        ):
            house.say("both")
            await until(kept, "both")
            await until(lost, "both")
            with house.database.session() as session:
                revoke_key(session, session.get_one(ApiKey, other.key_id))
            house.say("one")
            with pytest.raises(ApiError, match="alive"):
                await until(lost, "one")
            assert "one" in await until(kept, "one")

    run(settings, redis_client, test)


def test_a_database_that_is_away_is_waited_for(
    settings: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)

    async def test(house: House) -> None:
        async with house.watching(1) as (watcher,):
            house.say("before")
            await until(watcher, "before")
            house.database.away = True
            assert not (await watcher.next(0.3)).frames or not (await watcher.next(0.3)).frames
            house.database.away = False
            house.say("after")
            assert "after" in await until(watcher, "after")

    run(settings, redis_client, test)


def test_who_leaves_takes_nothing_from_others() -> None:
    async def test() -> None:
        flight = SingleFlight[str, int]()
        go, fetched = asyncio.Event(), 0

        async def fetch() -> int:
            nonlocal fetched
            fetched += 1
            await go.wait()
            return fetched

        first, second = (asyncio.create_task(flight.fetch("a", fetch)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        go.set()
        assert await second == 1
        assert await flight.fetch("a", fetch) == 2

    asyncio.run(test())
