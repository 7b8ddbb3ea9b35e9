"""`client.projects`: projects and their quotas, for keys with the scope admin."""

from __future__ import annotations

from typing import Unpack

from isthmus.core.request import Request, get, part, post
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Page
from isthmus.types.organization import Project, Quota
from isthmus.types.organization_params import QuotaParams

PATH = "/v1/organization/projects"


class Projects(Resource):
    """All projects of the service."""

    def create(self, *, name: str) -> Project:
        """Make a project."""
        return self._fetch(post(PATH, {"name": name}), Project)

    def list(
        self, *, after: str | None = None, limit: int | None = None, include_archived: bool = False
    ) -> Pages[Project]:
        """Projects, page by page."""
        return self._list(_list(after, limit, include_archived), Page[Project])

    def retrieve(self, project_id: str) -> Project:
        """One project."""
        return self._fetch(get(_path(project_id)), Project)

    def rename(self, project_id: str, *, name: str) -> Project:
        """Give a project another name."""
        return self._fetch(post(_path(project_id), {"name": name}), Project)

    def archive(self, project_id: str) -> Project:
        """Archive a project: its keys open nothing any more."""
        return self._fetch(post(f"{_path(project_id)}/archive"), Project)

    def quota(self, project_id: str) -> Quota:
        """A project's limits, and its use of them."""
        return self._fetch(get(f"{_path(project_id)}/quota"), Quota)

    def set_quota(self, project_id: str, **limits: Unpack[QuotaParams]) -> Quota:
        """Set a project's limits: None lifts one, and one that is left out stays as it is."""
        return self._fetch(post(f"{_path(project_id)}/quota", limits), Quota)


class AsyncProjects(AsyncResource):
    """All projects of the service."""

    async def create(self, *, name: str) -> Project:
        """Make a project."""
        return await self._fetch(post(PATH, {"name": name}), Project)

    def list(
        self, *, after: str | None = None, limit: int | None = None, include_archived: bool = False
    ) -> AsyncPages[Project]:
        """Projects, page by page."""
        return self._list(_list(after, limit, include_archived), Page[Project])

    async def retrieve(self, project_id: str) -> Project:
        """One project."""
        return await self._fetch(get(_path(project_id)), Project)

    async def rename(self, project_id: str, *, name: str) -> Project:
        """Give a project another name."""
        return await self._fetch(post(_path(project_id), {"name": name}), Project)

    async def archive(self, project_id: str) -> Project:
        """Archive a project: its keys open nothing any more."""
        return await self._fetch(post(f"{_path(project_id)}/archive"), Project)

    async def quota(self, project_id: str) -> Quota:
        """A project's limits, and its use of them."""
        return await self._fetch(get(f"{_path(project_id)}/quota"), Quota)

    async def set_quota(self, project_id: str, **limits: Unpack[QuotaParams]) -> Quota:
        """Set a project's limits: None lifts one, and one that is left out stays as it is."""
        return await self._fetch(post(f"{_path(project_id)}/quota", limits), Quota)


def _path(project_id: str) -> str:
    return f"{PATH}/{part(project_id)}"


def _list(after: str | None, limit: int | None, include_archived: bool) -> Request:
    return get(PATH, after=after, limit=limit, include_archived=include_archived or None)
