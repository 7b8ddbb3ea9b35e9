"""The API as its clients meet it: uvicorn on a loopback port, with real PostgreSQL and Redis, no worker."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import redis
import uvicorn
from pydantic import SecretStr
from sqlalchemy import func, select

from api.app import create_app
from api.server import configuration
from ist_core import records
from store import bus
from store.database import Database
from store.settings import Settings
from store.tables import Base
from tests.conftest import fresh_database

KEY = "isthmus-test-key"
ROWS = [
    {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}]}
    for n in range(12)
]
DATA = "\n".join(json.dumps(row) for row in ROWS).encode()
PREFERENCE_ROWS = [
    {
        "input": {"messages": row["messages"][:1], "tools": [], "parallel_tool_calls": True},
        "preferred_output": row["messages"][1:],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    for row in ROWS
]
PREFERENCE_DATA = "\n".join(json.dumps(row) for row in PREFERENCE_ROWS).encode()
LAYERS = 4


@dataclass(frozen=True)
class Service:
    """A running API, its clients, and its store as a worker sees it."""

    url: str
    settings: Settings
    database: Database
    redis: redis.Redis
    key: str = KEY
    """What its clients send."""

    @property
    def websocket(self) -> str:
        """The address for WebSockets."""
        return self.url.replace("http", "ws", 1)

    @property
    def client(self) -> openai.OpenAI:
        """The unmodified `openai` client, which must not need its retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)

    def http(self, **headers: str) -> httpx.Client:
        """A plain client with the key."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}", **headers})

    def upload(self, data: bytes = DATA) -> str:
        """A training file's id."""
        return self.client.files.create(file=("train.jsonl", data), purpose="fine-tune").id

    def create_job(self, **body: Any) -> str:
        """A new job's id."""
        body = {"model": "tiny", "training_file": self.upload(), **body}
        with self.http() as http:
            answer = http.post("/v1/fine_tuning/jobs", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["id"])

    def contents(self) -> dict[str, int]:
        """How many rows each table has, and how many objects are stored: what a refusal must not change."""
        with self.database.session() as session:
            counts = {
                table.name: session.scalar(select(func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
            }
        files = [
            path for path in self.settings.data_dir.rglob("*") if path.is_file() and "objects" in path.parts
        ]
        return {**counts, "objects": len(files), "messages": self.redis.llen(self.settings.queue)}


@pytest.fixture(scope="module")
def service(
    postgres_url: str, migrated_template: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "models" / "tiny").mkdir(parents=True)
    (data_dir / "models" / "tiny" / "config.json").write_text("{}")
    with fresh_database(postgres_url, migrated_template) as database_url:
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            data_dir=data_dir,
            hub=False,
            api_key=SecretStr(KEY),
            web_dir=tmp_path_factory.mktemp("web"),
            max_file_bytes=300_000,
        )
        with serving(settings) as running:
            yield running


@contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    """Run the API in a thread until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = settings.model_copy(update={"shutdown_seconds": 1})
    server = uvicorn.Server(configuration(create_app(settings), settings))
    ready = threading.Event()

    async def serve() -> None:
        task = asyncio.create_task(server.serve([listener]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        ready.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(30)
    assert server.started
    database, client = Database(settings.database_url), bus.connect(settings.redis_url)
    try:
        yield Service(f"http://127.0.0.1:{port}", settings, database, client)
    finally:
        server.should_exit = True
        thread.join(30)
        database.close()
        client.close()


def step_record(step: int) -> records.StepRecord:
    """A step as a trainer reports it."""
    return records.StepRecord(
        step=step,
        time=1_700_000_000.0 + step,
        metrics={"loss": 1 / step, "learning_rate": 0.001, "trained_tokens": 10.0 * step},
        importance=tuple(float(layer) for layer in range(LAYERS)),
        active=(1, 3),
    )


def write_build(folder: Path) -> None:
    """A dashboard's build in small."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text("<!doctype html><title>Isthmus</title>")
    (folder / "assets" / "index-abc123.js").write_text("export {};")
