"""What a project's finished jobs reported: plans for later ones learn from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from store.tables import Job, State
from store.tenant import Tenant

_MOST = 20


@dataclass(frozen=True, slots=True)
class PastRun:
    """A job that succeeded."""

    job_id: str
    model: str
    """The base model, by the name that the job gave."""
    report: dict[str, Any]


def past_runs(tenant: Tenant) -> list[PastRun]:
    """The project's latest jobs that succeeded, the newest first; at most 20."""
    query = (
        select(Job.id, Job.model, Job.report)
        .where(
            Job.project_id == tenant.project_id,
            Job.state == State.SUCCEEDED,
            Job.finished_at.is_not(None),
            Job.report.is_not(None),
        )
        .order_by(Job.finished_at.desc())
        .limit(_MOST)
    )
    return [PastRun(job_id, model, report or {}) for job_id, model, report in tenant.session.execute(query)]
