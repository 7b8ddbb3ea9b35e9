"""Jobs as clients see them: the row, and where in the queue it stands."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api.wire.jobs import JobObject, job_object
from store.queue import places
from store.tables import Job, State


def view_jobs(session: Session, jobs: Sequence[Job]) -> list[JobObject]:
    """Rows as wire objects; the queue is read once, if one of them is queued."""
    found = places(session, {job.id for job in jobs if job.state is State.QUEUED})
    return [job_object(job, found.get(job.id)) for job in jobs]


def view_job(session: Session, job: Job) -> JobObject:
    """A row as its wire object."""
    return view_jobs(session, [job])[0]
