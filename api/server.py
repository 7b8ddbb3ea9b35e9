"""How the API is served: one process, or several that share a port and, like it, end at SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from api.app import create_app, read_settings
from api.http_meters import FOLDER
from api.protocols import StreamRequests, StreamSockets
from store.log import configure_logging
from store.settings import Settings

PING_SECONDS = 20.0
"""How often a WebSocket is pinged; one that does not answer for as long again is dropped."""
UVICORN_TICK_SECONDS = 0.1
TICKS = 5
"""So many of uvicorn's ticks pass at once; its `date` header is renewed each tenth."""
HEALTH_SECONDS = 60
"""A process that says nothing for so long is replaced; it may be starting on a busy machine."""


def configuration(app: FastAPI | str, settings: Settings, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration: with our protocols, and without compression, which costs most of all."""
    return uvicorn.Config(
        app,
        http=StreamRequests,
        ws=StreamSockets,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        timeout_worker_healthcheck=HEALTH_SECONDS,
        **options,
    )


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises SystemExit when it cannot begin."""
    app = create_app(settings)  # in any case: what cannot be configured is told once, here
    if workers == 1:
        server = _Server(configuration(app, settings, host=host, port=port, workers=1))
        _spare_the_collector()
        with suppress(KeyboardInterrupt):
            server.run()
        if not server.started:
            raise SystemExit(3)
        return
    with tempfile.TemporaryDirectory(prefix="isthmus-metrics-") as folder:
        os.environ[FOLDER] = folder
        config = configuration(
            "api.server:worker_app", settings, host=host, port=port, workers=workers, factory=True
        )
        _Processes(config, [config.bind_socket()]).run()


def worker_app() -> FastAPI:
    """The application in one of several processes, which begins with an import."""
    settings = read_settings()
    configure_logging("api", settings.log_format, settings.log_level)
    _forget_dead(Path(os.environ[FOLDER]))
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.join,), name="parent", daemon=True).start()
    app = create_app(settings)
    _spare_the_collector()
    return app


class _Server(uvicorn.Server):
    """Looks twice a second whether it is to end, not ten times: at rest that is most of what it does."""

    async def main_loop(self) -> None:
        """Serve until it is to end."""
        ticks = 0
        while not await self.on_tick(ticks):
            await asyncio.sleep(TICKS * UVICORN_TICK_SECONDS)
            ticks += TICKS


class _Processes(Multiprocess):
    def terminate_all(self) -> None:
        """End them; from now on a connection is refused, not left waiting for nobody."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _spare_the_collector() -> None:
    """What is loaded by now stays; looking through it again would hold up a thousand streams noticeably."""
    gc.collect()
    gc.freeze()


def _end_with(wait: Callable[[], None]) -> None:
    """A parent that was killed cannot end its children: they do it themselves."""
    wait()
    os.kill(os.getpid(), signal.SIGTERM)


def _forget_dead(folder: Path) -> None:
    """Remove what processes that are gone said of their open streams."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
