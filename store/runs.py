"""One run of a job, from its claim to its end; every write is fenced by the run's attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from ist_core.records import JsonValue, Message, Started
from store.events import add_event, append_events, plain
from store.jobs import get_job
from store.series import allocate, held_by
from store.states import transition
from store.tables import Job, State


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job; `attempt` is its fencing token."""

    job_id: str
    attempt: int
    last_seq: int
    seconds_left: float | None = None
    """How long the run may take until the job's time limit; None: it has none."""


@dataclass(frozen=True, slots=True)
class Control:
    """What users have asked of a running job."""

    cancel_requested: bool
    pause_requested: bool


def claim(session: Session, job_id: str, *, worker: str, lease_seconds: float) -> Claim | None:
    """Take a queued job for `worker`; of several that try, exactly one gets it. None: not to be had."""
    job = transition(
        session,
        job_id,
        State.RUNNING,
        message="Fine-tuning job started",
        columns={
            "attempt": Job.attempt + 1,
            "reported": 0,
            "retrying": False,
            "claimed_at": func.clock_timestamp(),
            "worker": worker,
            "lease_expires_at": _lease_end(lease_seconds),
            "started_at": func.coalesce(Job.started_at, func.clock_timestamp()),
        },
    )
    return None if job is None else Claim(job.id, job.attempt, job.last_seq, _seconds_left(job))


def heartbeat(session: Session, job_id: str, attempt: int, *, lease_seconds: float) -> Control | None:
    """Renew the lease and read what users ask for; None: another attempt has the job, or it has ended."""
    row = session.execute(
        update(Job)
        .where(Job.id == job_id, held_by(attempt))
        .values(lease_expires_at=_lease_end(lease_seconds))
        .returning(Job.cancel_requested, Job.pause_requested)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else Control(row.cancel_requested, row.pause_requested)


def record_start(session: Session, job_id: str, attempt: int, started: Started) -> bool:
    """Store what the engine says before its first step, with an event. False: fenced off."""
    seqs = allocate(session, job_id, attempt, 1, total_steps=started.total_steps, layers=started.layers)
    if seqs is None:
        return False
    text = (
        f"Training {started.trainable_parameters:,} of {started.total_parameters:,} parameters in "
        f"{started.layers} layers for {started.total_steps} steps on {started.device}"
    )
    add_event(session, job_id, seqs[0], Message(text, data=dict(asdict(started))))
    session.flush()
    return True


def release(session: Session, job_id: str, attempt: int, *, message: str) -> Job | None:
    """Give a running job back to the queue, to be sent again: its worker stops, and nothing is wrong.

    A job whose cancel or pause was requested is cancelled or paused instead. None: fenced off.
    """
    if (asked := finish_as_asked(session, job_id, attempt)) is not None:
        return asked
    return transition(
        session,
        job_id,
        State.QUEUED,
        source=State.RUNNING,
        attempt=attempt,
        message=message,
        columns={"sent_at": None},
    )


def finish_as_asked(session: Session, job_id: str, attempt: int) -> Job | None:
    """Cancel or pause a job whose run is over, if that was asked for; None: it was not, or fenced off."""
    job = get_job(session, job_id, for_update=True)
    if job is None or job.attempt != attempt:
        return None
    if job.cancel_requested:
        return finish_cancelled(session, job_id, attempt)
    if job.pause_requested:
        return transition(
            session,
            job_id,
            State.PAUSED,
            source=State.RUNNING,
            attempt=attempt,
            message="Job paused",
            columns={"pause_requested": False},
        )
    return None


def expired_jobs(session: Session, *, patience_seconds: float | None = None, limit: int = 100) -> list[Job]:
    """Running jobs whose lease ran out, locked; rows that another scheduler has locked are skipped.

    With `patience_seconds` also those that are to be cancelled and whose lease, by then, ran for no longer
    than this: their worker has missed its heartbeats, and a cancel does not wait for the lease's end.
    """
    query = expired_query(patience_seconds).order_by(Job.lease_expires_at).limit(limit)
    query = query.with_for_update(skip_locked=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def expired_query(patience_seconds: float | None) -> Select[Job]:
    """What `expired_jobs` looks for."""
    over = Job.lease_expires_at < func.clock_timestamp()
    if patience_seconds is not None:
        soon = func.clock_timestamp() + timedelta(seconds=patience_seconds)
        over |= Job.cancel_requested & (Job.lease_expires_at < soon)
    return select(Job).where(Job.state == State.RUNNING, over)


def finish_succeeded(
    session: Session,
    job_id: str,
    attempt: int,
    *,
    fine_tuned_model: str,
    result_files: list[str],
    report: dict[str, Any],
    trained_tokens: int,
) -> Job | None:
    """End a run well. None: fenced off; then the caller must roll back what it wrote beside it."""
    if not append_events(
        session, job_id, attempt, [Message(f"New fine-tuned model created: {fine_tuned_model}")]
    ):
        return None
    return transition(
        session,
        job_id,
        State.SUCCEEDED,
        attempt=attempt,
        message="The job has successfully completed",
        columns={
            "fine_tuned_model": fine_tuned_model,
            "result_files": result_files,
            "report": report,
            "trained_tokens": trained_tokens,
        },
    )


def finish_failed(
    session: Session,
    job_id: str,
    attempt: int | None,
    *,
    code: str,
    message: str,
    param: str | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Job | None:
    """End a job as failed; `message` is for the user: one clear sentence. None: fenced off."""
    error: dict[str, JsonValue] = {"code": code, "message": message, "param": param}
    return transition(
        session,
        job_id,
        State.FAILED,
        attempt=attempt,
        level="error",
        message=f"The job failed: {message}",
        data={"error": error},
        columns={"error": plain(error), **(columns or {})},
    )


def finish_cancelled(session: Session, job_id: str, attempt: int) -> Job | None:
    """End a run that was asked to stop, after its trainer is gone. None: fenced off."""
    return transition(
        session, job_id, State.CANCELLED, source=State.RUNNING, attempt=attempt, message="Job cancelled"
    )


def _seconds_left(job: Job) -> float | None:
    limit = job.spec.get("time_limit_minutes")
    return None if limit is None else max(0.0, limit * 60 - job.run_seconds)


def _lease_end(seconds: float) -> ColumnElement[datetime]:
    # Not now(), which is the transaction's start: the wait for a row lock would shorten the lease.
    return func.clock_timestamp() + timedelta(seconds=seconds)
