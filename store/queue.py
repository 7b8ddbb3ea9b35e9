"""The order in which queued jobs are taken: by priority, and in turns between projects.

1. the higher priority first;
2. of each project its oldest job, then of each its second, ...;
3. in each such turn, the project that was served longest ago first.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from store.runs import Claim, claim
from store.tables import Job, State

TRIED = 8
RECENT = 20
"""So many finished jobs tell how long one takes."""

_QUEUED = Job.state == State.QUEUED


@dataclass(frozen=True, slots=True)
class Place:
    """A queued job's place: 1 is the next to be taken."""

    position: int
    estimated_start: datetime | None
    """None: nothing to go by yet."""


def claim_next(session: Session, *, worker: str, lease_seconds: float) -> Claim | None:
    """Take the job whose turn it is; None: no job is queued. Of several workers each gets another job."""
    while True:
        ids = list(session.scalars(select(Job.id).where(_QUEUED).order_by(*_order()).limit(TRIED)))
        for job_id in ids:
            held = claim(session, job_id, worker=worker, lease_seconds=lease_seconds)
            if held is not None:
                return held
        if not ids:
            return None


def places(session: Session, job_ids: Collection[str]) -> dict[str, Place]:
    """The places of those of these jobs that are queued."""
    if not job_ids:
        return {}
    line = session.scalars(select(Job.id).where(_QUEUED).order_by(*_order()))
    wanted = {job_id: number for number, job_id in enumerate(line, 1) if job_id in job_ids}
    starts = _starts(session, max(wanted.values(), default=0))
    return {job_id: Place(number, starts[number - 1]) for job_id, number in wanted.items()}


def _turn() -> ColumnElement[int]:
    """Which of its project's jobs of a priority it is."""
    return func.row_number().over(
        partition_by=(Job.project_id, Job.priority), order_by=(Job.created_at, Job.id)
    )


def _order() -> list[ColumnElement[Any]]:
    other = aliased(Job)
    served = select(func.max(other.claimed_at)).where(other.project_id == Job.project_id).scalar_subquery()
    return [Job.priority.desc(), _turn(), served.asc().nulls_first(), Job.created_at.asc(), Job.id.asc()]


def _starts(session: Session, count: int) -> list[datetime | None]:
    """When the next `count` jobs may start: each takes the worker that is free first.

    As many workers are reckoned with as are busy (at least one), and for each job the mean of the latest.
    """
    mean = _mean_seconds(session)
    running = session.scalars(select(Job).where(Job.state == State.RUNNING))
    left = [_seconds_left(job, mean) for job in running]
    if any(seconds is None for seconds in left):
        return [None] * count
    free = [seconds for seconds in left if seconds is not None] or [0.0]
    heapq.heapify(free)
    starts: list[datetime | None] = []
    for _ in range(count):
        if not free:
            starts.append(None)
            continue
        seconds = heapq.heappop(free)
        starts.append(datetime.now(UTC) + timedelta(seconds=seconds))
        if mean is not None:
            heapq.heappush(free, seconds + mean)
    return starts


def _mean_seconds(session: Session) -> float | None:
    recent = (
        select(Job.run_seconds)
        .where(Job.state == State.SUCCEEDED)
        .order_by(Job.finished_at.desc())
        .limit(RECENT)
        .subquery()
    )
    mean = session.scalar(select(func.avg(recent.c.run_seconds)))
    return None if mean is None else float(mean)


def _seconds_left(job: Job, mean: float | None) -> float | None:
    """Of a running job: as its steps so far took, else as the latest jobs took."""
    if job.step and job.total_steps and job.run_started_at is not None:
        spent = job.run_seconds + (datetime.now(UTC) - job.run_started_at).total_seconds()
        return spent * (job.total_steps - job.step) / job.step
    return mean
