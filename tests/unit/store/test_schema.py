"""Migrations and models agree."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from migrations.upgrade import alembic_config, upgrade
from store.database import Database, psycopg_url
from store.tables import Base


def test_the_migrated_schema_is_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_an_upgrade_can_be_repeated_and_undone(database: Database, database_url: str) -> None:
    upgrade(database_url)
    command.downgrade(alembic_config(database_url), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    upgrade(database_url)
    assert "jobs" in inspect(database.engine).get_table_names()


def test_only_postgresql_urls_are_taken() -> None:
    assert psycopg_url("postgresql://h/d").drivername == "postgresql+psycopg"
    with pytest.raises(ValueError, match="must begin with postgresql"):
        psycopg_url("sqlite:///x")
