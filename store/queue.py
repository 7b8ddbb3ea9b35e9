"""The order in which queued jobs are taken: by priority, and in turns between projects.

1. the higher priority first;
2. of each project its oldest job, then of each its second, ...;
3. in each such turn, the project that was served longest ago first.

The first N of this line are among the first N of each project and priority, so these are all that is read: of
a queue of any length, N rows for each project that has one in it (loose index scan over `ix_jobs_line`).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Row, Select, func, literal_column, select, text
from sqlalchemy.orm import Session

from store.runs import Claim, claim
from store.tables import Job
from store.tables.jobs import LIVE

TRIED = 8
PLACES = 500
"""So many places of the line are told; who stands behind them has none yet."""
RECENT = 20
"""So many finished jobs tell how long one takes."""
MAX_RUNNING = 1000
"""So many running jobs are reckoned with."""

LINE = text("""
WITH RECURSIVE
groups AS (
    (
        SELECT priority, project_id FROM jobs WHERE state = 'queued'
        ORDER BY priority, project_id LIMIT 1
    )
    UNION ALL
    SELECT following.* FROM groups CROSS JOIN LATERAL (
        SELECT priority, project_id FROM jobs
        WHERE state = 'queued' AND (priority, project_id) > (groups.priority, groups.project_id)
        ORDER BY priority, project_id LIMIT 1
    ) AS following
),
projects AS MATERIALIZED (
    SELECT project_id, (SELECT max(claimed_at) FROM jobs WHERE jobs.project_id = named.project_id) AS served
    FROM (SELECT DISTINCT project_id FROM groups) AS named
),
heads AS (
    SELECT job.*, groups.priority, projects.served
    FROM groups JOIN projects USING (project_id) CROSS JOIN LATERAL (
        SELECT id, created_at, row_number() OVER (ORDER BY created_at, id) AS turn FROM jobs
        WHERE state = 'queued' AND priority = groups.priority AND project_id = groups.project_id
        ORDER BY created_at, id LIMIT :places
    ) AS job
)
SELECT id FROM heads ORDER BY priority DESC, turn, served NULLS FIRST, created_at, id LIMIT :places
""")
PLACES_OF = text(
    f"SELECT id, place FROM unnest(ARRAY({LINE.text})) WITH ORDINALITY AS line (id, place) "  # noqa: S608  # fixed
    "WHERE id = ANY(:ids)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A queued job's place: 1 is the next to be taken."""

    position: int
    estimated_start: datetime | None
    """None: nothing to go by yet."""


def claim_next(session: Session, *, worker: str, lease_seconds: float) -> Claim | None:
    """Take the job whose turn it is; None: no job is queued. Of several workers each gets another job."""
    while True:
        ids = list(session.scalars(LINE, {"places": TRIED}))
        for job_id in ids:
            held = claim(session, job_id, worker=worker, lease_seconds=lease_seconds)
            if held is not None:
                return held
        if not ids:
            return None


def places(session: Session, job_ids: Collection[str]) -> dict[str, Place]:
    """The places of those of these jobs that are queued, and among the first PLACES."""
    if not job_ids:
        return {}
    rows = session.execute(PLACES_OF, {"places": PLACES, "ids": list(job_ids)}).all()
    starts = _starts(session, max((row.place for row in rows), default=0))
    return {row.id: Place(row.place, starts[row.place - 1]) for row in rows}


def _starts(session: Session, count: int) -> list[datetime | None]:
    """When the next `count` jobs may start: each takes the worker that is free first.

    As many workers are reckoned with as are busy (at least one), and for each job the mean of the latest.
    """
    mean = session.scalar(mean_query())
    left = [_seconds_left(job, mean) for job in session.execute(running_query())]
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


def mean_query() -> Select[float | None]:
    """How long the jobs that succeeded last took, by `ix_jobs_succeeded`."""
    recent = (
        select(Job.run_seconds)
        .where(Job.state == literal_column("'succeeded'"))
        .order_by(Job.finished_at.desc())
        .limit(RECENT)
        .subquery()
    )
    return select(func.avg(recent.c.run_seconds))


def running_query() -> Select[int, int | None, float, datetime | None]:
    """The progress of the jobs that run, by `ix_jobs_live`."""
    columns = select(Job.step, Job.total_steps, Job.run_seconds, Job.run_started_at)
    return columns.where(LIVE, Job.state == literal_column("'running'")).limit(MAX_RUNNING)


def _seconds_left(job: Row[int, int | None, float, datetime | None], mean: float | None) -> float | None:
    """Of a running job: as its steps so far took, else as the latest jobs took."""
    if job.step and job.total_steps and job.run_started_at is not None:
        spent = job.run_seconds + (datetime.now(UTC) - job.run_started_at).total_seconds()
        return float(spent * (job.total_steps - job.step) / job.step)
    return mean
