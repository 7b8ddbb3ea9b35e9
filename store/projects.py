"""Projects: the tenants that files, jobs, models and keys belong to."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from store.ids import new_id
from store.paging import Page, UnknownCursor, page_of
from store.tables import Project

DEFAULT_PROJECT = "default"
"""The project of the bootstrap key and of all that is older than projects; it cannot be archived."""


def create_project(session: Session, *, name: str) -> Project:
    """A new project without limits and without keys."""
    project = Project(id=new_id("proj"), name=name)
    session.add(project)
    session.flush()
    session.refresh(project)
    return project


def get_project(session: Session, project_id: str) -> Project | None:
    """A project, archived or not, or None."""
    return session.get(Project, project_id)


def list_projects(
    session: Session, *, after: str | None = None, limit: int = 20, include_archived: bool = False
) -> Page[Project]:
    """A page of projects, newest first. Raises UnknownCursor when `after` is no project."""
    query = select(Project).order_by(Project.created_at.desc(), Project.id.desc()).limit(limit + 1)
    if not include_archived:
        query = query.where(Project.archived_at.is_(None))
    if after is not None:
        last = session.get(Project, after)
        if last is None:
            raise UnknownCursor(after)
        query = query.where(tuple_(Project.created_at, Project.id) < (last.created_at, last.id))
    return page_of(session.scalars(query).all(), limit)


def rename_project(session: Session, project: Project, *, name: str) -> None:
    """Give a project another name; its id stays."""
    project.name = name
    session.flush()


def archive_project(session: Session, project: Project) -> None:
    """Refuse the project's keys from now on; what it has stays, and its jobs run to their end."""
    if project.archived_at is None:
        project.archived_at = datetime.now(UTC)
        session.flush()
