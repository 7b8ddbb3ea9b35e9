"""A project's own view of the database: what every function that serves a client's request takes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import Session

from store.tables import Job


@dataclass(frozen=True, slots=True)
class Tenant:
    """A session for the rows of one project.

    It is no Session on purpose: the functions for workers, which take one and ask for no project, cannot be
    called from a request by mistake.
    """

    session: Session
    project_id: str

    def job_id(self, job_id: str) -> ScalarSelect[str]:
        """The id, for a query on a job's rows; NULL, which no row has, for a job of another project."""
        return select(Job.id).where(Job.id == job_id, Job.project_id == self.project_id).scalar_subquery()
