"""Connections: checked after a rest, not while in use; statements that stand alone."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from store import database as database_module
from store.database import Database
from store.projects import create_project, list_projects

KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def break_connections(database: Database, database_url: str, count: int) -> None:
    """Fill the pool with connections, then let PostgreSQL close them all."""
    opened = [database.engine.connect() for _ in range(count)]
    for connection in opened:
        connection.close()
    killer = Database(database_url)
    with killer.session() as session:
        assert len(session.scalars(text(KILL)).all()) >= count
    killer.close()


def test_a_restarted_postgresql_is_not_noticed_after_a_rest(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "REST_SECONDS", 0.0)
    break_connections(database, database_url, 4)
    for _ in range(4):
        with database.session() as session:
            assert session.scalar(text("SELECT 1")) == 1


def test_while_in_use_one_request_tells_of_it_and_the_rest_go_on(
    database: Database, database_url: str
) -> None:
    break_connections(database, database_url, 4)
    with pytest.raises(OperationalError), database.session() as session:
        session.scalar(text("SELECT 1"))
    for _ in range(4):
        with database.session() as session:
            assert session.scalar(text("SELECT 1")) == 1


def test_statements_stand_alone(database: Database) -> None:
    with database.statements() as alone:
        create_project(alone, name="seen at once")
        with database.session() as session:
            assert "seen at once" in {project.name for project in list_projects(session).rows}
    with database.session() as session:
        assert not session.connection().connection.dbapi_connection.autocommit  # type: ignore[union-attr]
