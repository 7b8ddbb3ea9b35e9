"""The application, which `python -m api` serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI
from pydantic import ValidationError
from starlette.middleware import Middleware

from api import errors, idempotency
from api.auth import require_admin, require_key
from api.chat_meters import ChatMeters
from api.http_meters import HttpMeasurement, HttpMeters
from api.middleware import BodyLimit, RequestFrame
from api.protocols import CLOSING
from api.routes import (
    chat,
    checkpoints,
    deliveries,
    exports,
    files,
    health,
    job_list,
    jobs,
    metrics,
    models,
    organization,
    pauses,
    plan,
    quota,
    reproduction,
    samples,
    series,
    session,
    stream,
    tokens,
    uploads,
    webhooks,
    workers,
)
from api.services import open_services
from api.web import DEFAULT_BUILD, Dashboard
from store.settings import Settings, get_settings

logger = logging.getLogger(__name__)

DESCRIPTION = """A self-hosted fine-tuning service around Importance-aware Sparse Tuning.

Files, jobs, events and models have OpenAI's shapes, so the `openai` client works with this base address.
Metrics, importance, artifacts and the live stream are our own. A key sees its own project and no other."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service on `settings`; None: on the environment's.

    Raises SystemExit, with one line that says what is missing, when it cannot be configured.
    """
    settings = settings or read_settings()
    if settings.api_key is None:
        logger.info("ISTHMUS_API_KEY is not set: only keys made by `python -m api.admin` are taken")
    elif not settings.api_key.get_secret_value():
        raise SystemExit(
            "api: ISTHMUS_API_KEY is empty; set it to a key, or unset it and run `python -m api.admin`"
        )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, asyncio.Event]]:
        async with open_services(settings) as services:
            app.state.services = services
            yield {CLOSING: asyncio.Event()}

    meters = HttpMeters()
    app = FastAPI(
        title="Isthmus",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # the documentation pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(HttpMeasurement, meters=meters),
            Middleware(RequestFrame),
            Middleware(BodyLimit, max_file_bytes=settings.max_file_bytes),
        ],
    )
    app.state.meters = meters
    app.state.chat_meters = ChatMeters(meters.registry)
    errors.install(app)
    idempotency.install(app)
    app.include_router(_v1())
    app.include_router(session.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.router.default = Dashboard(settings.web_dir or DEFAULT_BUILD)
    return app


def _v1() -> APIRouter:
    """The routes that need a key; a plan and the stream check it by themselves."""
    guarded = APIRouter(prefix="/v1", dependencies=[Depends(require_key)])
    for resource in (
        files,
        tokens,
        uploads,
        job_list,
        jobs,
        pauses,
        checkpoints,
        series,
        exports,
        models,
        quota,
    ):
        guarded.include_router(resource.router)
    guarded.include_router(reproduction.router)
    guarded.include_router(samples.router)
    guarded.include_router(workers.router)
    guarded.include_router(webhooks.event_types)
    for resource in (webhooks, deliveries):
        guarded.include_router(resource.router, prefix="/webhooks")
        guarded.include_router(resource.router, prefix="/webhook_endpoints", include_in_schema=False)
    v1 = APIRouter()
    v1.include_router(guarded)
    v1.include_router(plan.router, prefix="/v1")
    v1.include_router(chat.router, prefix="/v1")
    v1.include_router(organization.router, prefix="/v1", dependencies=[Depends(require_admin)])
    v1.include_router(stream.router, prefix="/v1")
    return v1


def read_settings() -> Settings:
    """The settings of the environment; raises SystemExit with one line that says what is missing."""
    try:
        return get_settings()
    except ValidationError as error:
        names = ", ".join(
            f"ISTHMUS_{'_'.join(map(str, e['loc'])).upper()} ({e['msg']})" for e in error.errors()
        )
        raise SystemExit(f"api: settings missing or wrong: {names}") from None
