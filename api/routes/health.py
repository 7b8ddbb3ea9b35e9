"""`/health`: whether the service and what it leans on answer; `live` and `ready` for who watches it."""

from __future__ import annotations

import logging
from typing import Literal

import redis
from fastapi import APIRouter, Response

from api.routes.dependencies import OpenServices
from api.wire.common import WireModel
from store.database import DATABASE_AWAY

Answer = Literal["ok", "unavailable"]

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/health", tags=["health"])


class HealthObject(WireModel):
    """`status` is ok when every part is."""

    status: Answer
    database: Answer
    redis: Answer


@router.get("", responses={503: {"model": HealthObject, "description": "A part is away"}})
def health(services: OpenServices, response: Response) -> HealthObject:
    """Ask PostgreSQL and Redis; 503 when one is away."""
    database, bus = _database(services), _redis(services)
    status: Answer = "ok" if database == bus == "ok" else "unavailable"
    if status != "ok":
        response.status_code = 503
    return HealthObject(status=status, database=database, redis=bus)


class LiveObject(WireModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/live")
async def live() -> LiveObject:
    """Whether the process answers at all; asks nothing of others. When it does not, start it again."""
    return LiveObject()


@router.get("/ready", responses={503: {"model": HealthObject, "description": "PostgreSQL is away"}})
def ready(services: OpenServices, response: Response) -> HealthObject:
    """Whether to send requests here: PostgreSQL answers. Without Redis jobs are taken all the same."""
    found = health(services, response)
    if found.database == "ok":
        response.status_code = 200
    return found


def _database(services: OpenServices) -> Answer:
    try:
        services.database.ping()
    except DATABASE_AWAY as error:
        logger.warning("the database is away: %s", error)
        return "unavailable"
    return "ok"


def _redis(services: OpenServices) -> Answer:
    try:
        services.redis.ping()
    except redis.RedisError as error:
        logger.warning("Redis is away: %s", error)
        return "unavailable"
    return "ok"
