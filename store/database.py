"""The connection to PostgreSQL: one engine a process, one session a unit of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

CONNECT_SECONDS = 5

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
    """An engine whose connections are checked before use, so that a restarted PostgreSQL is not noticed."""
    return sqlalchemy.create_engine(
        psycopg_url(url),
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )


class Database:
    """A process's access to PostgreSQL."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine = create_engine(url, pool_size=pool_size)
        # Rows stay readable after the commit: callers answer with them.
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        with self._sessions.begin() as session:
            yield session

    def ping(self) -> None:
        """Raise one of DATABASE_AWAY when PostgreSQL does not answer."""
        with self.engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()
