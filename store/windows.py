"""Which of a job's steps a reader asks for, and which metrics they have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import Session

from store.driver import driver_cursor
from store.rollups import read_metrics
from store.spans import WIDTHS, cover
from store.tables import Job, StepRecord
from store.tenant import Tenant


class UnknownMetrics(LookupError):
    """Metrics that no step of the job has told."""

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"the job has no metric {', '.join(unknown)}; it has {', '.join(known)}")
        self.unknown = unknown
        self.known = known


@dataclass(frozen=True, slots=True)
class Window:
    """Which steps: those after `after_step` and before `before_step`, and made after `after_time` and before
    `before_time` (Unix seconds; of a job, a later step is never the earlier one in time)."""

    after_step: int = 0
    before_step: int | None = None
    after_time: float | None = None
    before_time: float | None = None


def step_range(tenant: Tenant, job_id: str, window: Window) -> range | None:
    """The window's first and last recorded steps, as a range; None: there is none (or no such job)."""
    session = tenant.session
    first = window.after_step + 1
    job = select(Job.step, _record_from(first)).where(Job.id == job_id, Job.project_id == tenant.project_id)
    reached, recorded = session.execute(job).one_or_none() or (None, None)
    if reached is None:
        return None
    last: int = reached
    if window.before_step is not None:
        last = min(last, window.before_step - 1)
    if window.before_time is not None:
        limit = window.before_time
        last = min(last, _first_step(session, job_id, reached, lambda time: time >= limit) - 1)
    if window.after_time is not None:
        moment = window.after_time
        first = max(first, _first_step(session, job_id, reached, lambda time: time > moment))
        recorded = session.scalar(select(_record_from(first, job_id)))
    return None if recorded is None or recorded > last else range(recorded, last + 1)


def owns(tenant: Tenant, job_id: str) -> bool:
    """Whether the job is one of the project's."""
    query = select(Job.id).where(Job.id == job_id, Job.project_id == tenant.project_id)
    return tenant.session.scalar(query) is not None


def known_metrics(session: Session, job_id: str, reached: int) -> list[str]:
    """Every metric that a step up to `reached` has told."""
    with driver_cursor(session) as cursor:
        spans = cover(1, reached, len(WIDTHS) - 1)
        return sorted({key for span in spans for key in read_metrics(cursor, job_id, span)[1].keys})


def check_keys(tenant: Tenant, job_id: str, keys: Sequence[str]) -> None:
    """Raises UnknownMetrics for a key that no step of the job has told, once it has told any."""
    reached = tenant.session.scalar(select(Job.step).where(Job.id == tenant.job_id(job_id)))
    known = known_metrics(tenant.session, job_id, reached) if reached else []
    unknown = [key for key in keys if key not in known]
    if known and unknown:
        raise UnknownMetrics(unknown, known)


def _first_step(session: Session, job_id: str, reached: int, late: Callable[[float], bool]) -> int:
    """The first step whose time is late enough, by bisection; the one after the last where none is."""

    def is_late(step: int) -> bool:
        found = _first_record(session, job_id, step)
        return found is None or late(found[1].timestamp())

    return bisect_left(range(1, reached + 1), True, key=is_late) + 1


def _record_from(step: int, job_id: str | None = None) -> ScalarSelect[int]:
    """The first recorded step from `step` on, of this job or of the query's."""
    of_job = StepRecord.job_id == (Job.id if job_id is None else job_id)
    query = select(StepRecord.step).where(of_job, StepRecord.step >= step)
    return query.order_by(StepRecord.step).limit(1).scalar_subquery()


def _first_record(session: Session, job_id: str, step: int) -> tuple[int, datetime] | None:
    """The first recorded step from `step` on, and its time."""
    query = (
        select(StepRecord.step, StepRecord.time)
        .where(StepRecord.job_id == job_id, StepRecord.step >= step)
        .order_by(StepRecord.step)
        .limit(1)
    )
    found = session.execute(query).one_or_none()
    return None if found is None else (found.step, found.time)
