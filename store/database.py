"""The connection to PostgreSQL: one engine a process, one session a unit of work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

CONNECT_SECONDS = 5
REST_SECONDS = 1.0

DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""What a statement raises while PostgreSQL is away, restarting or out of connections: try again later."""


def psycopg_url(url: str) -> URL:
    """The URL for psycopg 3; `postgresql://` and `postgres://` name no driver and are read as that one.

    Raises ValueError for a URL of another database.
    """
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError(f"ISTHMUS_DATABASE_URL must begin with postgresql://, not {parsed.drivername}://")


def create_engine(url: str, *, pool_size: int = 5) -> sqlalchemy.Engine:
    """An engine whose connections are checked after a rest, so that a restarted PostgreSQL is not noticed.

    One in steady use is not asked each time whether it lives: that would be one round trip in three.
    """
    engine = sqlalchemy.create_engine(
        psycopg_url(url),
        pool_size=pool_size,
        pool_use_lifo=True,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", partial(_check_rested, engine))
    return engine


class Database:
    """A process's access to PostgreSQL."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine = create_engine(url, pool_size=pool_size)
        # Rows stay readable after the commit: callers answer with them.
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        each = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._statements = sessionmaker(each, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def statements(self) -> Iterator[Session]:
        """Statements that are each a transaction of their own: for a look-up, without BEGIN and COMMIT."""
        with self._statements() as session:
            yield session

    def ping(self) -> None:
        """Raise one of DATABASE_AWAY when PostgreSQL does not answer."""
        with self.engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()


def _note_rest(connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    del connection
    entry.info["rests_since"] = time.monotonic()


def _check_rested(
    engine: sqlalchemy.Engine,
    connection: DBAPIConnection,
    entry: ConnectionPoolEntry,
    proxy: PoolProxiedConnection,
) -> None:
    """Raises InvalidatePoolError, for the pool to open all its connections anew, when this one is dead."""
    del proxy
    since = entry.info.get("rests_since")
    if since is None or time.monotonic() - since < REST_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError(f"a connection that rested is dead: {error}") from error
