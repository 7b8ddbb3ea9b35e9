"""`/v1/fine_tuning/jobs`: create, list, retrieve, cancel, events."""

from __future__ import annotations

import re
from functools import partial

from fastapi import APIRouter, Request
from isthmus.dataset.formats import FORMATS_OF_METHOD

from api.errors import ApiError, bad_request, not_found
from api.idempotency import JsonOnce
from api.job_request import JobRequest, check_supported, resolve
from api.job_view import view_job, view_jobs
from api.method_request import method_spec
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.routes.webhooks import add_of_job, check_url
from api.transaction import ProjectTransaction
from api.wire.common import ListOf
from api.wire.jobs import PRIORITIES, EventObject, JobObject, event_object
from ist_core.errors import ModelError
from ist_core.spec import MethodSpec
from store import bus
from store.events import list_events
from store.files import take_file
from store.jobs import JobEnded, create_job, find_job, list_jobs, request_cancel
from store.tables import File, Job, State

METADATA_FILTER = re.compile(r"metadata\[(.+)\]", re.DOTALL)

router = APIRouter(prefix="/fine_tuning/jobs", tags=["fine-tuning"], responses=ERRORS)

METADATA_SCHEMA = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "required": False,
            "style": "deepObject",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "description": "Keeps the jobs whose metadata hold all these pairs: `metadata[team]=search`",
        }
    ]
}


@router.post("")
def create(body: JobRequest, services: OpenServices, tx: Tx, once: JsonOnce) -> JobObject:
    """Create a job. The model, the files and every key are checked first: a refusal leaves nothing."""
    check_supported(body)
    if body.webhook is not None:
        check_url(body.webhook.url, services, param="webhook.url")
    if body.model.startswith("ft:"):
        raise ModelError(f"model: {body.model!r} is a tuned model; tuning starts from a base model")
    # Before the first query: a look-up on the Hub must not keep a database connection.
    services.catalog.resolve(body.model)
    method = method_spec(body.method)
    training = _data_file(tx, body.training_file, method, param="training_file")
    if body.validation_file is not None:
        _data_file(tx, body.validation_file, method, param="validation_file")
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


@router.get("", openapi_extra=METADATA_SCHEMA)
def list_all(request: Request, tx: Tx, after: After = None, limit: Limit = 20) -> ListOf[JobObject]:
    """List jobs, newest first."""
    page = list_jobs(tx.tenant, after=after, limit=limit, metadata=_metadata_filter(request))
    return ListOf(data=view_jobs(tx.tenant.session, page.rows), has_more=page.has_more)


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


def _data_file(tx: ProjectTransaction, file_id: str, method: MethodSpec, *, param: str) -> File:
    file = take_file(tx.tenant, file_id)
    if file is None:
        raise bad_request(
            f"{param}: no such file: {file_id}; upload it first with purpose fine-tune",
            param=param,
            code="file_not_found",
        )
    if file.purpose != "fine-tune" or not file.rows:
        raise bad_request(
            f"{param}: file {file_id} has the purpose {file.purpose!r}; a job needs one with fine-tune",
            param=param,
            code="invalid_purpose",
        )
    needed = FORMATS_OF_METHOD[method.type]
    if file.format not in {row_format.name for row_format in needed}:
        names = ", ".join(row_format.name for row_format in needed)
        raise bad_request(
            f"{param}: file {file_id} holds {file.format} rows, but method.type {method.type!r} learns from "
            f"{names} rows: upload a file with rows such as {needed[0].example}",
            param=param,
            code="invalid_file_format",
        )
    return file


def _metadata_filter(request: Request) -> dict[str, str]:
    pairs = {}
    for name, value in request.query_params.multi_items():
        if match := METADATA_FILTER.fullmatch(name):
            if "\0" in name or "\0" in value:
                raise bad_request(
                    "metadata: a filter holds a NUL character", param="metadata", code="invalid_value"
                )
            pairs[match[1]] = value
    return pairs
