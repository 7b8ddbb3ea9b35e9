"""`/v1/fine_tuning/jobs`: create, retrieve, cancel, events."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from api.errors import ApiError, bad_request, not_found
from api.idempotency import JsonOnce
from api.job_admission import check_job, find_data
from api.job_request import JobRequest, resolve
from api.job_view import view_job
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.routes.webhooks import add_of_job
from api.transaction import ProjectTransaction
from api.wire.common import ListOf
from api.wire.jobs import PRIORITIES, EventObject, JobObject, event_object
from store import bus
from store.events import list_events
from store.files import take_file
from store.jobs import JobEnded, create_job, find_job, request_cancel
from store.tables import Job, State

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning"], responses=ERRORS)


@router.post("")
def create(body: JobRequest, services: OpenServices, tx: Tx, once: JsonOnce) -> JobObject:
    """Create a job. The model, the files and every key are checked first: a refusal leaves nothing."""
    # Before the first query: a look-up on the Hub must not keep a database connection.
    check_job(body, services)
    training = find_data(body, tx.tenant, take_file).training
    job = create_job(
        tx.tenant,
        spec=resolve(body, rows=training.rows or 1),
        request=body.model_dump(mode="json", exclude_unset=True),
        suffix=body.suffix,
        metadata=body.metadata,
        priority=PRIORITIES[body.priority] if isinstance(body.priority, str) else body.priority,
    )
    if body.webhook is not None:
        add_of_job(tx, job.id, body.webhook)
    tx.after_commit(partial(services.queue.wake, job.id))
    return once.keep(view_job(tx.tenant.session, job))


@router.get("/{job_id}")
def retrieve(job_id: Identifier, tx: Tx) -> JobObject:
    """One job as it is now."""
    return view_job(tx.tenant.session, the_job(tx, job_id))


@router.post("/{job_id}/cancel")
def cancel(job_id: Identifier, services: OpenServices, tx: Tx) -> JobObject:
    """Cancel a job: at once while queued, else its worker stops it (`state` says `cancelling`)."""
    try:
        job = request_cancel(tx.tenant, job_id)
    except JobEnded as error:
        raise ended(error) from error
    if job is None:
        raise not_found("job", job_id, param="job_id")
    if job.state is State.RUNNING:
        tx.after_commit(partial(bus.publish_cancel, services.redis, job.id))
    tx.after_commit(partial(bus.publish_job, services.redis, job.id, job.last_seq))
    return view_job(tx.tenant.session, job)


@router.get("/{job_id}/events")
def events(job_id: Identifier, tx: Tx, after: After = None, limit: Limit = 20) -> ListOf[EventObject]:
    """A job's log, newest first."""
    the_job(tx, job_id)
    page = list_events(tx.tenant, job_id, after=after, limit=limit)
    return ListOf(data=[event_object(event) for event in page.rows], has_more=page.has_more)


def ended(error: JobEnded) -> ApiError:
    """400, not 409, which the SDK would send again."""
    return bad_request(str(error), param="job_id", code="job_ended")


def the_job(tx: ProjectTransaction, job_id: str) -> Job:
    """The job of the caller's project; raises ApiError 404."""
    job = find_job(tx.tenant, job_id)
    if job is None:
        raise not_found("job", job_id, param="job_id")
    return job
