"""Waiting for the end of a job or an export, also through times when the service is away."""

from __future__ import annotations

from typing import TypeVar

from isthmus.core.effects import Now, Operation, Sleep
from isthmus.core.fetching import fetch
from isthmus.core.request import Request
from isthmus.core.retries import Retries
from isthmus.errors import ConnectionFailed, JobUnsuccessful, ServerError, WaitTimedOut
from isthmus.types.exports import ExportFields
from isthmus.types.jobs import JobFields

FIRST_INTERVAL = 0.5
AWAY_SECONDS = 300.0
"""So long a service may be away before a waiting caller is told."""

Ending = TypeVar("Ending", bound=JobFields | ExportFields)


def until_ended(
    request: Request,
    model: type[Ending],
    retries: Retries,
    context: object,
    *,
    timeout: float | None,
    poll_interval: float,
) -> Operation[Ending]:
    """The job or export, once it has ended; asked for every `poll_interval` seconds, at first more often.

    Raises WaitTimedOut after `timeout` seconds (None: never), and what a request raises; a service that is
    away is waited for, five minutes at most.
    """
    begun: float = yield Now()
    heard = begun
    interval = min(FIRST_INTERVAL, poll_interval)
    while True:
        try:
            found = yield from fetch(request, model, retries, context)
        except (ConnectionFailed, ServerError):
            if (yield Now()) - heard > AWAY_SECONDS:
                raise
        else:
            if found.ended:
                return found
            heard = yield Now()
        now: float = yield Now()
        if timeout is not None and now - begun + interval > timeout:
            raise WaitTimedOut(f"{request.path} has not ended within {timeout:g} seconds; it goes on")
        yield Sleep(interval)
        interval = min(interval * 1.5, poll_interval)


def check_success(job: JobFields) -> None:
    """Raise JobUnsuccessful for a job that ended otherwise."""
    if job.status == "succeeded":
        return
    why = f": {job.error.message}" if job.error else ""
    raise JobUnsuccessful(
        f"job {job.id} ended as {job.status}{why}",
        job_id=job.id,
        state=job.state,
        code=job.error.code if job.error else None,
    )
