"""Shared fixtures: one real PostgreSQL and one real Redis a session, a fresh database a test."""

from __future__ import annotations

import signal
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.engine import make_url

from migrations.upgrade import upgrade
from standalone.postgres import embedded_postgres
from standalone.redis_server import embedded_redis
from store import bus
from store.database import Database, create_engine
from store.ids import random_text
from store.settings import Settings
from tests.open_folder import open_folder

TEMPLATE = "isthmus_template"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: the processes that tests interrupt would inherit deaf ears.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, by the URL of its maintenance database."""
    with open_folder() as folder, embedded_postgres(folder / "postgres") as url:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # speed: nothing here is kept
            _execute(url, f"ALTER SYSTEM SET {setting} = off")
        # Its snapshot, at any moment, keeps a test's own VACUUM from marking pages, and that changes plans.
        _execute(url, "ALTER SYSTEM SET autovacuum = off")
        _execute(url, "SELECT pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server."""
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """A migrated database that fresh ones are copied from; its name."""
    _execute(postgres_url, f"CREATE DATABASE {TEMPLATE}")
    upgrade(_with_database(postgres_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database, dropped after the test with whoever is still connected."""
    with fresh_database(postgres_url, migrated_template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The store's access to a fresh database."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an emptied Redis."""
    with bus.connect(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a service on the test's database, with an empty data folder."""
    return Settings(database_url=database_url, redis_url=redis_url, data_dir=tmp_path / "data", hub=False)


@contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Copy a template database; yields the copy's URL, and drops it at the end."""
    name = f"test_{random_text(12, string.ascii_lowercase)}"
    _execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _with_database(server_url, name)
    finally:
        _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _with_database(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def _execute(server_url: str, statement: str) -> None:
    engine = create_engine(server_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()
