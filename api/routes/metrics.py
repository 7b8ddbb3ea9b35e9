"""`/metrics`: what Prometheus scrapes. Open on loopback; else by a key, which sees its own project's jobs."""

from __future__ import annotations

import ipaddress
import logging
from typing import cast
from urllib.parse import urlsplit

import redis
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.core import Metric
from starlette.requests import HTTPConnection

from api.auth import ByCookie, ByKey, admit
from api.chat_meters import chat_families
from api.cookies import COOKIE
from api.exposition import database_up, expose, job_families
from api.http_meters import HttpMeters
from api.routes.dependencies import ERRORS, OpenServices
from api.services import Services
from store.chat_intake import chat_load
from store.database import DATABASE_AWAY

FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/metrics", tags=["metrics"])


@router.get(
    "",
    response_class=Response,
    openapi_extra={"security": [{}]},  # beside the two schemes: none is needed on loopback
    responses={
        **{status: ERRORS[status] for status in (401, 403, 429)},
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus's text"},
    },
)
def metrics(connection: HTTPConnection, services: OpenServices, bearer: ByKey, cookie: ByCookie) -> Response:
    """Queue, jobs, steps, chat, HTTP. A key with the scope read sees its project's jobs; with admin too, all.

    Without a key it answers on this machine's own address only.
    """
    del bearer, cookie
    if _is_local(connection) and not _has_credentials(connection):
        return _answer(connection, services, project_id=None)
    holder = admit(connection, services, needs="read", from_own_page=False).holder
    return _answer(connection, services, project_id=None if "admin" in holder.scopes else holder.project_id)


def _answer(connection: HTTPConnection, services: Services, *, project_id: str | None) -> Response:
    text = expose(_job_families(services, project_id))
    if project_id is None:
        meters = cast("HttpMeters", connection.app.state.meters)
        text += expose(_chat_families(services)) + meters.exposed()
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _job_families(services: Services, project_id: str | None) -> list[Metric]:
    try:
        with services.database.session() as session:
            return [database_up(True), *job_families(session, project_id)]
    except DATABASE_AWAY as error:
        logger.warning("the database is away: %s", error)
        return [database_up(False)]


def _chat_families(services: Services) -> list[Metric]:
    try:
        return chat_families(chat_load(services.redis, services.settings.queue))
    except redis.RedisError as error:
        logger.warning("Redis is away, so nothing is told of the chat queue: %s", error)
        return []


def _has_credentials(connection: HTTPConnection) -> bool:
    return "authorization" in connection.headers or COOKIE in connection.cookies


def _is_local(connection: HTTPConnection) -> bool:
    """Whether a program on this machine asks: no proxy between, and no page whose name was bent to here."""
    if connection.client is None or any(name in connection.headers for name in FORWARDED):
        return False
    host = urlsplit(f"//{connection.headers.get('host', '')}").hostname
    return _is_loopback(connection.client.host) and (host == "localhost" or _is_loopback(host or ""))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
