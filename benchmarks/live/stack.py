"""What is measured: embedded PostgreSQL and Redis with their own settings, and a real API process."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import redis
from pydantic import SecretStr

from migrations.upgrade import upgrade
from standalone.child import prepare_child
from standalone.ports import LOOPBACK, free_port
from standalone.postgres import embedded_postgres
from standalone.redis_server import embedded_redis
from store import bus
from store.database import Database
from store.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running service."""

    url: str
    key: str
    folder: Path
    settings: Settings
    database: Database
    redis: redis.Redis

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends."""
        return {"Authorization": f"Bearer {self.key}"}


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """Start everything in an empty folder, and stop it again."""
    with (
        embedded_postgres(folder / "postgres") as database_url,
        embedded_redis(folder / "redis") as redis_url,
    ):
        upgrade(database_url)
        key = secrets.token_urlsafe(24)
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_dir=folder / "data",
            hub=False,
            api_key=SecretStr(key),
        )
        settings.data_dir.mkdir()
        database, client = Database(database_url), bus.connect(redis_url)
        try:
            with _api(settings, folder) as url:
                yield Stack(url, key, folder, settings, database, client)
        finally:
            client.close()
            database.close()


@contextmanager
def _api(settings: Settings, folder: Path) -> Iterator[str]:
    """`python -m api` on a free port; its address, once it answers."""
    port = free_port()
    assert settings.api_key is not None  # noqa: S101  # set above
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")},
        "ISTHMUS_DATABASE_URL": settings.database_url,
        "ISTHMUS_REDIS_URL": settings.redis_url,
        "ISTHMUS_DATA_DIR": str(settings.data_dir),
        "ISTHMUS_API_KEY": settings.api_key.get_secret_value(),
        "ISTHMUS_HUB": "false",
    }
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare_child,
        )
    url = f"http://{LOOPBACK}:{port}"
    try:
        _wait_until_answering(url, process, folder / "api.log")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the API did not start: {log.read_text(errors='replace')[-2000:]}")
