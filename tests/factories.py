"""Rows and records for tests."""

from __future__ import annotations

import io

from isthmus.dataset.formats import DatasetSummary
from isthmus.dataset.rows import FormatName
from sqlalchemy.orm import Session

from ist_core.records import StepRecord
from ist_core.spec import JobSpec
from store import jobs, runs
from store.database import Database
from store.files import create_file, file_key, new_file_id
from store.objects import ObjectInfo, ObjectStore
from store.projects import DEFAULT_PROJECT
from store.tables import File, Job
from store.tenant import Tenant


def tenant(session: Session) -> Tenant:
    """The default project's view."""
    return Tenant(session, DEFAULT_PROJECT)


def make_file(
    session: Session,
    *,
    purpose: str = "fine-tune",
    data_format: FormatName = "chat",
    project_id: str = DEFAULT_PROJECT,
    lifetime: int | None = None,
) -> File:
    """A file row without bytes."""
    file_id = new_file_id()
    stored = ObjectInfo(file_key(file_id), 10, "0" * 64)
    return create_file(
        session,
        project_id=project_id,
        file_id=file_id,
        filename="data.jsonl",
        purpose=purpose,
        stored=stored,
        contents=DatasetSummary(data_format, "jsonl", rows=1) if purpose == "fine-tune" else None,
        lifetime=lifetime,
    )


def upload(database: Database, objects: ObjectStore, data: bytes) -> str:
    """A file row with bytes; its id."""
    file_id = new_file_id()
    stored = objects.put(file_key(file_id), io.BytesIO(data))
    with database.session() as session:
        create_file(
            session,
            project_id=DEFAULT_PROJECT,
            file_id=file_id,
            filename="data.jsonl",
            purpose="fine-tune",
            stored=stored,
            contents=DatasetSummary("chat", "jsonl", rows=1),
        )
    return file_id


def make_job(
    session: Session, *, metadata: dict[str, str] | None = None, project_id: str = DEFAULT_PROJECT
) -> Job:
    """A queued job."""
    spec = JobSpec(model="tiny", training_file=make_file(session, project_id=project_id).id)
    owner = Tenant(session, project_id)
    return jobs.create_job(owner, spec=spec, request={"model": "tiny"}, metadata=metadata)


def claimed(database: Database, *, lease_seconds: float = 30.0) -> runs.Claim:
    """A running job."""
    with database.session() as session:
        job_id = make_job(session).id
    return claim(database, job_id, lease_seconds=lease_seconds)


def claim(database: Database, job_id: str, *, lease_seconds: float = 30.0) -> runs.Claim:
    """Claim a job that must be claimable."""
    with database.session() as session:
        held = runs.claim(session, job_id, worker="test", lease_seconds=lease_seconds)
    assert held is not None
    return held


def step(number: int, *, loss: float = 1.0) -> StepRecord:
    """A step record of two layers."""
    return StepRecord(
        step=number,
        time=1_700_000_000.0 + number,
        metrics={"loss": loss, "trained_tokens": 10.0 * number},
        importance=(0.5, 0.25),
        active=(1,),
        probabilities=(0.25, 0.75),
    )


def read_job(database: Database, job_id: str) -> Job:
    """The job as it is now."""
    with database.session() as session:
        job = jobs.get_job(session, job_id)
    assert job is not None
    return job
