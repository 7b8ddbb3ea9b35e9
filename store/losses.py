"""Runs that broke off: again from the last checkpoint, or the job's end with a code that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from ist_core.spec import JobSpec
from store.jobs import get_job
from store.runs import finish_as_asked, finish_failed
from store.states import transition
from store.tables import Job, State


def take_back(session: Session, job: Job, *, max_losses: int) -> Job | None:
    """End the run of a job whose lease ran out, from a row that `expired_jobs` locked."""
    what = f"Worker {job.worker} was lost"
    return _lose(session, job, what=what, code="worker_lost", max_losses=max_losses)


def lose_trainer(session: Session, job_id: str, attempt: int, *, what: str, max_losses: int) -> Job | None:
    """End a run whose trainer was killed, which is no fault of the job. None: fenced off."""
    job = get_job(session, job_id, for_update=True)
    if job is None or job.attempt != attempt:
        return None
    return _lose(session, job, what=what, code="trainer_killed", max_losses=max_losses)


def run_out_of_memory(
    session: Session, job_id: str, attempt: int, *, message: str, param: str | None
) -> Job | None:
    """End a run that ran out of memory: again with a smaller micro-batch where the job wants that and there
    is one, else as failed. None: fenced off."""
    job = get_job(session, job_id, for_update=True)
    if job is None or job.attempt != attempt:
        return None
    if (asked := finish_as_asked(session, job_id, attempt)) is not None:
        return asked
    spec = JobSpec.model_validate(job.spec)
    smaller = spec.smaller_micro_batch() if spec.on_out_of_memory == "retry" else None
    if smaller is None:
        return finish_failed(session, job_id, attempt, code="out_of_memory", message=message, param=param)
    text = (
        f"Out of memory with a micro-batch of {spec.micro_batch_size or spec.batch_size}: the job goes on "
        f"with {smaller}; its batch stays {spec.batch_size}"
    )
    return _again(session, job, text, {"spec": {**job.spec, "micro_batch_size": smaller}})


def _lose(session: Session, job: Job, *, what: str, code: str, max_losses: int) -> Job | None:
    """Back to the queue, or to the end: as a user has asked, or failed at the `max_losses`-th loss."""
    if (asked := finish_as_asked(session, job.id, job.attempt)) is not None:
        return asked
    losses = job.losses + 1
    if losses >= max_losses:
        return finish_failed(
            session,
            job.id,
            job.attempt,
            code=code,
            message=f"{what}; that was loss {losses} of a worker or a trainer, and {max_losses} are too many",
            columns={"losses": losses},
        )
    return _again(session, job, f"{what}; job goes back to the queue", {"losses": losses})


def _again(session: Session, job: Job, message: str, columns: Mapping[str, Any]) -> Job | None:
    return transition(
        session,
        job.id,
        State.QUEUED,
        source=State.RUNNING,
        attempt=job.attempt,
        level="warn",
        message=message,
        columns={"sent_at": None, "retrying": True, **columns},
    )
