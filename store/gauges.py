"""Numbers about jobs and exports as they are now, for a scrape: by an index each, never the whole table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, literal_column, select, true
from sqlalchemy.orm import Session

from store.tables import Export, ExportState, Job, State, StepRecord
from store.tables.jobs import LIVE

Query = Select[*tuple[Any, ...]]

MAX_RUNNING = 1000
"""So many running jobs are told of one by one."""


@dataclass(frozen=True, slots=True)
class LiveJobs:
    """How many of a project's jobs of a priority are in a state that is not an end."""

    project_id: str
    priority: int
    state: State
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class RunningJob:
    """The latest step of a job that runs now."""

    job_id: str
    project_id: str
    step: int
    total_steps: int | None
    metrics: dict[str, Any]


def live_jobs(session: Session, project_id: str | None) -> list[LiveJobs]:
    """The jobs that have not ended, by project, priority and state; None: those of all projects."""
    return [LiveJobs(*row) for row in session.execute(live_jobs_query(project_id))]


def ended_jobs(session: Session, project_id: str | None) -> dict[State, int]:
    """How many jobs have ever ended in each way."""
    return {row[0]: row[1] for row in session.execute(ended_jobs_query(project_id))}


def running_jobs(session: Session, project_id: str | None) -> list[RunningJob]:
    """The latest steps of the jobs that run; a job that has made none yet is left out."""
    return [RunningJob(*row) for row in session.execute(running_jobs_query(project_id))]


def live_exports(session: Session, project_id: str | None) -> dict[tuple[str, ExportState], int]:
    """How many exports of each project wait or run."""
    counts: dict[tuple[str, ExportState], int] = {}
    for query in live_exports_queries(project_id):
        counts |= {(row[0], row[1]): row[2] for row in session.execute(query)}
    return counts


def live_exports_queries(project_id: str | None) -> tuple[Query, Query]:
    """By `ix_exports_line` and by `ix_exports_leases`, in their words."""
    counted = select(Export.project_id, Export.state, func.count()).group_by(Export.project_id, Export.state)
    if project_id is not None:
        counted = counted.where(Export.project_id == project_id)
    waiting, running = (
        counted.where(Export.state == literal_column(f"'{state.value}'"))
        for state in (ExportState.QUEUED, ExportState.RUNNING)
    )
    return waiting, running


def live_jobs_query(project_id: str | None) -> Query:
    """By `ix_jobs_live`, whose size is that of the queue."""
    query = (
        select(Job.project_id, Job.priority, Job.state, func.count(), func.min(Job.created_at))
        .where(LIVE)
        .group_by(Job.project_id, Job.priority, Job.state)
    )
    return _of(query, project_id)


def ended_jobs_query(project_id: str | None) -> Query:
    """By `ix_jobs_ended` alone, which holds two short columns of each row."""
    query = select(Job.state, func.count()).where(Job.finished_at.is_not(None)).group_by(Job.state)
    return _of(query, project_id)


def running_jobs_query(project_id: str | None) -> Query:
    """By `ix_jobs_live`, then from the end of each job's part of the step records' key."""
    latest = (
        select(StepRecord.step, StepRecord.metrics)
        .where(StepRecord.job_id == Job.id)
        .order_by(StepRecord.step.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(Job.id, Job.project_id, latest.c.step, Job.total_steps, latest.c.metrics)
        .join(latest, true())
        .where(LIVE, Job.state == State.RUNNING)
        .limit(MAX_RUNNING)
    )
    return _of(query, project_id)


def _of(query: Query, project_id: str | None) -> Query:
    return query if project_id is None else query.where(Job.project_id == project_id)
