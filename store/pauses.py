"""What users ask of a job that has not ended: pause, and go on."""

from __future__ import annotations

from ist_core.records import Message
from store.events import add_event
from store.jobs import JobEnded, find_job
from store.quotas import take_job
from store.series import allocate
from store.states import TERMINAL, transition
from store.tables import Job, State
from store.tenant import Tenant


class JobCancelling(RuntimeError):
    """The job is about to be cancelled, so it cannot be paused."""


def request_pause(tenant: Tenant, job_id: str) -> Job | None:
    """Pause a job: at once while it is queued, else by asking its worker, which saves a checkpoint first.

    Returns None when the project has no such job; raises JobEnded or JobCancelling. Asking twice changes
    nothing. When the returned job is still running, publish the request on its control channel after the
    commit.
    """
    job = _unended(tenant, job_id)
    if job is None or job.state is State.PAUSED:
        return job
    if job.cancel_requested:
        raise JobCancelling(f"job {job_id} is being cancelled")
    if job.state is State.QUEUED:
        columns = {"retrying": False, "sent_at": None}
        return transition(tenant.session, job_id, State.PAUSED, message="Job paused", columns=columns)
    if not job.pause_requested:
        _ask(tenant, job, "Pause requested", pause_requested=True)
    return job


def request_resume(tenant: Tenant, job_id: str) -> Job | None:
    """Let a paused job go on: it is queued, and starts from its last checkpoint.

    A pause that is still under way is withdrawn; a job that is not paused is left as it is. Returns None when
    the project has no such job; raises JobEnded, and QuotaExceeded. Wake the job after the commit.
    """
    job = _unended(tenant, job_id)
    if job is not None and job.state is State.PAUSED:
        take_job(tenant)
        return transition(
            tenant.session, job_id, State.QUEUED, message="Job resumed", columns={"sent_at": None}
        )
    if job is not None and job.pause_requested:
        _ask(tenant, job, "Resume requested", pause_requested=False)
    return job


def _unended(tenant: Tenant, job_id: str) -> Job | None:
    job = find_job(tenant, job_id, for_update=True)
    if job is not None and job.state in TERMINAL:
        raise JobEnded(job)
    return job


def _ask(tenant: Tenant, job: Job, text: str, **columns: bool) -> None:
    seqs = allocate(tenant.session, job.id, None, 1, **columns)
    assert seqs is not None  # noqa: S101  # the row is locked by this transaction
    add_event(tenant.session, job.id, seqs[0], Message(text))
    tenant.session.flush()
    tenant.session.refresh(job)
