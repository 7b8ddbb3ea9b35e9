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
from store.job_list import list_jobs
from store.quotas import quota_of
from store.tables import Base
from store.tuned_models import list_tuned_models
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


OLD_FILE = """
INSERT INTO files (id, filename, purpose, bytes, sha256, rows, key)
VALUES ('file-a', 'a.jsonl', 'fine-tune', 1, '0', 1, 'k')
"""
OLD_JOB = """
INSERT INTO jobs (id, state, spec, request, model, training_file)
VALUES ('job', 'running', :spec, '{}', 'm', 'file-a')
"""
OLD_MODEL = """
INSERT INTO tuned_models (id, base_model, job_id, prefix, artifacts)
VALUES ('ft:m', 'm', 'job', 'p/', :artifacts)
"""


def test_rows_older_than_projects_belong_to_the_default_one(database: Database, database_url: str) -> None:
    command.downgrade(alembic_config(database_url), "0002")
    spec = JobSpec(model="m", training_file="file-a").model_dump_json()
    artifacts = json.dumps([{"path": name, "bytes": 20, "sha256": "0"} for name in ("a", "b")])
    with database.engine.begin() as connection:
        for statement in (OLD_FILE, OLD_JOB, OLD_MODEL):
            connection.execute(text(statement), {"spec": spec, "artifacts": artifacts})
    upgrade(database_url)
    with database.session() as session:
        owner = tenant(session)
        assert [file.id for file in list_files(owner).rows] == ["file-a"]
        (job,) = list_jobs(owner).rows
        (model,) = list_tuned_models(owner)
        assert (job.id, job.run_started_at is not None, model.bytes) == ("job", True, 40)
        assert quota_of(owner)[1].bytes == 41


def test_only_postgresql_urls_are_taken() -> None:
    assert psycopg_url("postgresql://h/d").drivername == "postgresql+psycopg"
    with pytest.raises(ValueError, match="must begin with postgresql"):
        psycopg_url("sqlite:///x")
