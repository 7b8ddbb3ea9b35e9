"""Jobs: create and read them, ask for a cancel, and keep track of their wake-ups."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select, update
from sqlalchemy.orm import Session

from ist_core.records import Message
from ist_core.spec import JobSpec
from store.events import add_event, append_events
from store.ids import new_id
from store.log import current_ids
from store.quotas import take_job
from store.series import allocate
from store.states import TERMINAL, transition
from store.tables import Job, State
from store.tenant import Tenant


class JobEnded(RuntimeError):
    """The job has already ended, so it cannot be cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} has already ended: {job.state.value}")
        self.job = job


def create_job(
    tenant: Tenant,
    *,
    spec: JobSpec,
    request: Mapping[str, Any],
    suffix: str | None = None,
    metadata: Mapping[str, str] | None = None,
    priority: int = 0,
) -> Job:
    """Write a queued job and its first two events; its files must be the project's and have been validated.

    `spec` holds file ids, not paths; `request` is the body as it came. Raises QuotaExceeded.
    """
    take_job(tenant)
    session = tenant.session
    job = Job(
        id=new_id("ftjob"),
        project_id=tenant.project_id,
        state=State.VALIDATING_FILES,
        spec=spec.model_dump(mode="json"),
        request=dict(request),
        model=spec.model,
        training_file=spec.training_file,
        validation_file=spec.validation_file,
        suffix=suffix,
        user_metadata=dict(metadata or {}),
        priority=priority,
        request_id=current_ids().get("request_id"),
    )
    session.add(job)
    session.flush()
    append_events(session, job.id, None, [Message(f"Created fine-tuning job: {job.id}")])
    queued = transition(session, job.id, State.QUEUED, message="Files validated, moving job to queued state")
    assert queued is not None  # noqa: S101  # the row was inserted above, in this transaction
    return queued


def request_id_of(session: Session, job_id: str) -> str | None:
    """The id of the request that made the job, for the lines of its logs."""
    return session.scalar(select(Job.request_id).where(Job.id == job_id))


def get_job(session: Session, job_id: str, *, for_update: bool = False) -> Job | None:
    """A job as it is now, or None, for workers; `for_update` locks its row until the transaction ends."""
    return session.get(Job, job_id, with_for_update=for_update or None, populate_existing=True)


def find_job(tenant: Tenant, job_id: str, *, for_update: bool = False) -> Job | None:
    """A job of the project as it is now, or None; `for_update` locks its row until the transaction ends."""
    query = select(Job).where(Job.id == job_id, Job.project_id == tenant.project_id)
    if for_update:
        query = query.with_for_update()
    return tenant.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def request_cancel(tenant: Tenant, job_id: str) -> Job | None:
    """Cancel a job: at once when no worker has it, else by asking its worker.

    Returns None when the project has no such job; raises JobEnded when it has ended. Asking twice changes
    nothing. When the returned job is still running, publish the request on its control channel after the
    commit.
    """
    session = tenant.session
    job = find_job(tenant, job_id, for_update=True)
    if job is None:
        return None
    if job.state in TERMINAL:
        raise JobEnded(job)
    if job.state is not State.RUNNING:
        return transition(
            session, job_id, State.CANCELLED, message="Job cancelled", columns={"cancel_requested": True}
        )
    if not job.cancel_requested:
        seqs = allocate(session, job_id, None, 1, cancel_requested=True)
        assert seqs is not None  # noqa: S101  # the row is locked by this transaction
        add_event(session, job_id, seqs[0], Message("Cancel requested"))
        session.flush()
        session.refresh(job)
    return job


def mark_sent(session: Session, job_id: str) -> None:
    """Note that the queue took a wake-up for the job just now."""
    session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(sent_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )


def mark_unsent(session: Session, job_id: str) -> None:
    """Note that a wake-up was taken from the queue in vain, so that the scheduler sends another."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state == State.QUEUED)
        .values(sent_at=None)
        .execution_options(synchronize_session=False)
    )


def unsent_jobs(session: Session, *, sent_before_seconds: float | None = None, limit: int = 100) -> list[str]:
    """Ids of queued jobs without a wake-up.

    With `sent_before_seconds` also those whose last wake-up is older: for use when the queue is empty.
    """
    return list(session.scalars(unsent_query(sent_before_seconds, limit)))


def unsent_query(sent_before_seconds: float | None, limit: int) -> Select[str]:
    """By `ix_jobs_woken`, in its words: it begins with the jobs that were never woken."""
    woken: ColumnElement[datetime] = literal_column(
        "COALESCE(sent_at, '-infinity'::timestamp with time zone)"
    )
    if sent_before_seconds is None:
        due = woken == literal_column("'-infinity'::timestamp with time zone")
    else:
        # now(): to the planner the moment is then one value, not one for each row.
        due = woken < func.now() - timedelta(seconds=sent_before_seconds)
    queued = Job.state == literal_column("'queued'")
    return select(Job.id).where(queued, due).order_by(woken).limit(limit)
