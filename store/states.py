"""The job state machine: one table of transitions, and one function that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import ColumnElement, Float, cast, extract, func, update
from sqlalchemy.orm import Session

from ist_core.records import JsonValue, Message
from store.deliveries import enqueue
from store.events import add_event
from store.tables import Job, State

TRANSITIONS = MappingProxyType(
    {
        State.VALIDATING_FILES: frozenset({State.QUEUED, State.FAILED, State.CANCELLED}),
        State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED}),
        State.RUNNING: frozenset(
            {State.QUEUED, State.PAUSED, State.SUCCEEDED, State.FAILED, State.CANCELLED}
        ),
        State.PAUSED: frozenset({State.QUEUED, State.CANCELLED}),
        State.SUCCEEDED: frozenset[State](),
        State.FAILED: frozenset[State](),
        State.CANCELLED: frozenset[State](),
    }
)
"""From each state, the states that may follow it."""

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


def sources(to: State) -> frozenset[State]:
    """The states that `to` may follow."""
    return frozenset(state for state, following in TRANSITIONS.items() if to in following)


def run_seconds() -> ColumnElement[float]:
    """How long a job has run: the runs that are over and the one that holds it."""
    return Job.run_seconds + seconds_of_run()


def seconds_of_run() -> ColumnElement[float]:
    """How long the run that holds a job has taken, to the end of its lease; 0 without one."""
    until = func.least(func.clock_timestamp(), Job.lease_expires_at)
    return func.coalesce(cast(extract("epoch", until - Job.run_started_at), Float), 0.0)


def transition(
    session: Session,
    job_id: str,
    to: State,
    *,
    message: str,
    attempt: int | None = None,
    source: State | None = None,
    level: Literal["info", "warn", "error"] = "info",
    data: dict[str, JsonValue] | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Job | None:
    """Move a job to `to`, set `columns` and log `message`: one conditional UPDATE and one event row.

    `attempt` fences the change to one run of the job; `source` narrows the allowed earlier states to one.
    A job that leaves `running` has no worker and no lease, and its run's time is added up; one that ends gets
    `finished_at`. The event's `data` always names the new state. Returns None, with nothing changed, when the
    job was in no state that `to` may follow, or another attempt holds it.
    """
    allowed = sources(to) if source is None else sources(to) & {source}
    values: dict[str, Any] = {"state": to, "last_seq": Job.last_seq + 1}
    if to is State.RUNNING:
        values["run_started_at"] = func.clock_timestamp()
    else:
        values |= {"worker": None, "lease_expires_at": None, "run_started_at": None}
        values["run_seconds"] = run_seconds()
    if to in TERMINAL:
        values["finished_at"] = func.clock_timestamp()
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.state.in_(allowed))
        .values(**values, **(columns or {}))
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if attempt is not None:
        statement = statement.where(Job.attempt == attempt)
    job = session.scalars(statement).one_or_none()
    if job is not None:
        event = Message(message, level, {**(data or {}), "state": to.value})
        add_event(session, job_id, job.last_seq, event)
        if to in TERMINAL:
            enqueue(session, job)
        session.flush()
    return job
