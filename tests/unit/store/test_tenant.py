"""A tenant's functions find the rows of its project, and of no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from store import jobs
from store.database import Database
from store.events import list_events
from store.files import find_file, list_files
from store.job_list import list_jobs
from store.objects import ObjectInfo
from store.paging import UnknownCursor
from store.projects import create_project
from store.steps import append_steps, importance_series, metric_series
from store.stream import read_stream
from store.tables import Job
from store.tenant import Tenant
from store.tuned_models import (
    create_tuned_model,
    get_tuned_model,
    get_tuned_model_of_job,
    list_tuned_models,
)
from tests.factories import claim, make_job, read_job, step

MODEL = "ft:tiny:isthmus::1"

Look = Callable[[Tenant, Job], Any]
LOOKS: dict[str, Look] = {
    "find_job": lambda tenant, job: jobs.find_job(tenant, job.id),
    "find_job for update": lambda tenant, job: jobs.find_job(tenant, job.id, for_update=True),
    "list_jobs": lambda tenant, job: list_jobs(tenant).rows,
    "list_events": lambda tenant, job: list_events(tenant, job.id).rows,
    "read_stream": lambda tenant, job: read_stream(tenant, job.id, 0),
    "metric_series": lambda tenant, job: metric_series(tenant, job.id).steps,
    "importance_series": lambda tenant, job: importance_series(tenant, job.id).steps,
    "find_file": lambda tenant, job: find_file(tenant, job.training_file),
    "list_files": lambda tenant, job: list_files(tenant).rows,
    "get_tuned_model": lambda tenant, job: get_tuned_model(tenant, MODEL),
    "get_tuned_model_of_job": lambda tenant, job: get_tuned_model_of_job(tenant, job.id),
    "list_tuned_models": lambda tenant, job: list_tuned_models(tenant),
    "request_cancel": lambda tenant, job: jobs.request_cancel(tenant, job.id),
}


@pytest.fixture
def job(database: Database) -> Job:
    """A running job of a project of its own, with a step and a model."""
    with database.session() as session:
        job_id = make_job(session, project_id=create_project(session, name="owner").id).id
    held = claim(database, job_id)
    with database.session() as session:
        append_steps(session, job_id, held.attempt, [step(1)])
        row = jobs.get_job(session, job_id)
        assert row is not None
        artifacts = [ObjectInfo("models/a", 3, "0")]
        create_tuned_model(session, model_id=MODEL, job=row, prefix="models/", artifacts=artifacts)
    return read_job(database, job_id)


def other(session: Session) -> Tenant:
    """A project that has nothing."""
    return Tenant(session, create_project(session, name="other").id)


@pytest.mark.parametrize("name", LOOKS)
def test_only_the_owner_finds_it(database: Database, job: Job, name: str) -> None:
    with database.session() as session:
        assert not LOOKS[name](other(session), job)
        assert not LOOKS[name](Tenant(session, "no project"), job)
        assert LOOKS[name](Tenant(session, job.project_id), job)
    assert read_job(database, job.id).cancel_requested is (name == "request_cancel")


def test_another_projects_rows_are_no_cursors(database: Database, job: Job) -> None:
    with database.session() as session:
        stranger = other(session)
        event = list_events(Tenant(session, job.project_id), job.id).rows[0]
        with pytest.raises(UnknownCursor):
            list_jobs(stranger, after=job.id)
        with pytest.raises(UnknownCursor):
            list_files(stranger, after=job.training_file)
        with pytest.raises(UnknownCursor):
            list_events(stranger, job.id, after=event.id)
