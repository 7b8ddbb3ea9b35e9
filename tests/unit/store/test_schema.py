"""Migrations and models agree."""

import json

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from ist_core.spec import IstSpec, JobSpec
from migrations.upgrade import alembic_config, upgrade
from store.database import Database, psycopg_url
from store.files import list_files
from store.jobs import list_jobs
from store.tables import Base
from tests.factories import tenant


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


def test_rows_of_the_first_schema_are_kept(database: Database, database_url: str) -> None:
    command.downgrade(alembic_config(database_url), "0001")
    old_spec = {"model": "m", "training_file": "file-a", "adapter": {"rank": 2}}
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO files (id, filename, purpose, bytes, sha256, rows, key) "
                "VALUES ('file-a', 'a.jsonl', 'fine-tune', 1, '0', 1, 'k')"
            )
        )
        for name, ist in (("dropping", {"optimizer_state": "drop"}), ("keeping", {}), ("plain", None)):
            connection.execute(
                text(
                    "INSERT INTO jobs (id, state, spec, request, model, training_file) "
                    "VALUES (:id, 'succeeded', :spec, '{}', 'm', 'file-a')"
                ),
                {"id": name, "spec": json.dumps({**old_spec, "ist": ist})},
            )
    upgrade(database_url)
    with database.session() as session:
        assert [file.format for file in list_files(tenant(session)).rows] == ["chat"]
        specs = {job.id: JobSpec.model_validate(job.spec) for job in list_jobs(tenant(session)).rows}
    assert specs["dropping"].ist == IstSpec(optimizer_state="reset")
    assert (specs["keeping"].ist, specs["plain"].ist) == (IstSpec(), None)


def test_only_postgresql_urls_are_taken() -> None:
    assert psycopg_url("postgresql://h/d").drivername == "postgresql+psycopg"
    with pytest.raises(ValueError, match="must begin with postgresql"):
        psycopg_url("sqlite:///x")
