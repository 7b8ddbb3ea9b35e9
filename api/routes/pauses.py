"""`/v1/fine_tuning/jobs/{id}/pause` and `/resume`."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from api.errors import bad_request, not_found
from api.job_view import view_job
from api.routes.dependencies import ERRORS, Identifier, OpenServices, Tx
from api.routes.jobs import ended
from api.wire.jobs import JobObject
from store import bus
from store.jobs import JobEnded
from store.pauses import JobCancelling, request_pause, request_resume
from store.tables import State

router = APIRouter(prefix="/fine_tuning/jobs/{job_id}", tags=["fine-tuning"], responses=ERRORS)


@router.post("/pause")
def pause(job_id: Identifier, services: OpenServices, tx: Tx) -> JobObject:
    """Pause a job: at once while queued, else its worker saves a checkpoint first (`state`: `pausing`)."""
    try:
        job = request_pause(tx.tenant, job_id)
    except JobEnded as error:
        raise ended(error) from error
    except JobCancelling as error:
        raise bad_request(str(error), param="job_id", code="job_cancelling") from error
    if job is None:
        raise not_found("job", job_id, param="job_id")
    if job.state is State.RUNNING:
        tx.after_commit(partial(bus.publish_pause, services.redis, job.id))
    tx.after_commit(partial(bus.publish_job, services.redis, job.id, job.last_seq))
    return view_job(tx.tenant.session, job)


@router.post("/resume")
def resume(job_id: Identifier, services: OpenServices, tx: Tx) -> JobObject:
    """Let a paused job go on from its last checkpoint, when its turn comes; others are left as they are."""
    try:
        job = request_resume(tx.tenant, job_id)
    except JobEnded as error:
        raise ended(error) from error
    if job is None:
        raise not_found("job", job_id, param="job_id")
    if job.state is State.QUEUED and job.sent_at is None:
        tx.after_commit(partial(services.queue.wake, job.id))
    tx.after_commit(partial(bus.publish_job, services.redis, job.id, job.last_seq))
    return view_job(tx.tenant.session, job)
