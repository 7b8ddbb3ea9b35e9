"""What the process holds open: the database, Redis, object storage, the queue, the live feeds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

import redis
from fastapi import Depends
from starlette.requests import HTTPConnection

from api.chat_desk import ChatDesk
from api.feed import Feeds
from api.keyring import KeyRing
from api.live import LiveHub
from api.queue import JobQueue
from api.rates import RateLimits
from ist_core.catalog import Catalog
from store import bus
from store.database import Database
from store.object_storage import open_objects
from store.objects import ObjectStore
from store.settings import Settings

POOL_SIZE = 16


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for all requests."""

    settings: Settings
    keys: KeyRing
    rates: RateLimits
    database: Database
    redis: redis.Redis
    objects: ObjectStore
    catalog: Catalog
    queue: JobQueue
    feeds: Feeds
    chat: ChatDesk


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything, without waiting for PostgreSQL or Redis (`/health` says whether they are there)."""
    database = Database(settings.database_url, pool_size=POOL_SIZE)
    keys = KeyRing.of(settings)
    client = bus.connect(settings.redis_url)
    queue = JobQueue(settings, database)
    try:
        async with (
            LiveHub.running(settings.redis_url) as live,
            Feeds.running(database, keys, live) as feeds,
            ChatDesk.running(settings) as chat,
        ):
            yield Services(
                settings=settings,
                keys=keys,
                rates=RateLimits(client, settings.requests_per_minute),
                database=database,
                redis=client,
                objects=open_objects(settings),
                catalog=Catalog(settings.base_models_dir, hub=settings.hub),
                queue=queue,
                feeds=feeds,
                chat=chat,
            )
    finally:
        queue.close()
        client.close()
        database.close()


async def get_services(connection: HTTPConnection) -> Services:
    """The process's services, as a dependency: async, or a thread would be asked for them."""
    return services_of(connection)


OpenServices = Annotated[Services, Depends(get_services)]


def services_of(connection: HTTPConnection) -> Services:
    """The process's services."""
    return cast("Services", connection.app.state.services)
