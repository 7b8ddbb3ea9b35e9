"""`client.keys`: the API keys of projects, for keys with the scope admin."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.core.request import Request, delete, get, part, post, told
from isthmus.resources import projects
from isthmus.resources.base import AsyncPages, AsyncResource, Pages, Resource
from isthmus.types.base import Deleted, Page
from isthmus.types.organization import Key, NewKey, Scope


class Keys(Resource):
    """API keys."""

    def create(
        self,
        *,
        project_id: str,
        name: str,
        scopes: Sequence[Scope] = ("read", "write"),
        expires_in_seconds: int | None = None,
    ) -> NewKey:
        """Make a key of a project; its `value` is shown this once."""
        return self._fetch(_create(project_id, name, scopes, expires_in_seconds), NewKey)

    def list(
        self,
        *,
        project_id: str,
        after: str | None = None,
        limit: int | None = None,
        include_revoked: bool = False,
    ) -> Pages[Key]:
        """A project's keys, page by page."""
        return self._list(_list(project_id, after, limit, include_revoked), Page[Key])

    def retrieve(self, key_id: str, *, project_id: str) -> Key:
        """One key, without the key itself."""
        return self._fetch(get(f"{_path(project_id)}/{part(key_id)}"), Key)

    def update(
        self,
        key_id: str,
        *,
        project_id: str,
        name: str | None = None,
        scopes: Sequence[Scope] | None = None,
        expires_in_seconds: int | None = None,
    ) -> Key:
        """Change what is not None; `expires_in_seconds` counts from now."""
        request = _update(project_id, key_id, name, scopes, expires_in_seconds)
        return self._fetch(request, Key)

    def rotate(self, key_id: str, *, project_id: str, grace_seconds: int = 0) -> NewKey:
        """Put a new key in the place of another, which works `grace_seconds` longer."""
        path = f"{_path(project_id)}/{part(key_id)}/rotate"
        return self._fetch(post(path, {"grace_seconds": grace_seconds}), NewKey)

    def revoke(self, key_id: str, *, project_id: str) -> Deleted:
        """Revoke a key: from now on it opens nothing."""
        return self._fetch(delete(f"{_path(project_id)}/{part(key_id)}"), Deleted)


class AsyncKeys(AsyncResource):
    """API keys."""

    async def create(
        self,
        *,
        project_id: str,
        name: str,
        scopes: Sequence[Scope] = ("read", "write"),
        expires_in_seconds: int | None = None,
    ) -> NewKey:
        """Make a key of a project; its `value` is shown this once."""
        return await self._fetch(_create(project_id, name, scopes, expires_in_seconds), NewKey)

    def list(
        self,
        *,
        project_id: str,
        after: str | None = None,
        limit: int | None = None,
        include_revoked: bool = False,
    ) -> AsyncPages[Key]:
        """A project's keys, page by page."""
        return self._list(_list(project_id, after, limit, include_revoked), Page[Key])

    async def retrieve(self, key_id: str, *, project_id: str) -> Key:
        """One key, without the key itself."""
        return await self._fetch(get(f"{_path(project_id)}/{part(key_id)}"), Key)

    async def update(
        self,
        key_id: str,
        *,
        project_id: str,
        name: str | None = None,
        scopes: Sequence[Scope] | None = None,
        expires_in_seconds: int | None = None,
    ) -> Key:
        """Change what is not None; `expires_in_seconds` counts from now."""
        request = _update(project_id, key_id, name, scopes, expires_in_seconds)
        return await self._fetch(request, Key)

    async def rotate(self, key_id: str, *, project_id: str, grace_seconds: int = 0) -> NewKey:
        """Put a new key in the place of another, which works `grace_seconds` longer."""
        path = f"{_path(project_id)}/{part(key_id)}/rotate"
        return await self._fetch(post(path, {"grace_seconds": grace_seconds}), NewKey)

    async def revoke(self, key_id: str, *, project_id: str) -> Deleted:
        """Revoke a key: from now on it opens nothing."""
        return await self._fetch(delete(f"{_path(project_id)}/{part(key_id)}"), Deleted)


def _path(project_id: str) -> str:
    return f"{projects.PATH}/{part(project_id)}/api_keys"


def _create(project_id: str, name: str, scopes: Sequence[Scope], expires_in_seconds: int | None) -> Request:
    body = told(name=name, scopes=list(scopes), expires_in_seconds=expires_in_seconds)
    return post(_path(project_id), body)


def _list(project_id: str, after: str | None, limit: int | None, include_revoked: bool) -> Request:
    return get(_path(project_id), after=after, limit=limit, include_revoked=include_revoked or None)


def _update(
    project_id: str,
    key_id: str,
    name: str | None,
    scopes: Sequence[Scope] | None,
    expires_in_seconds: int | None,
) -> Request:
    chosen = None if scopes is None else list(scopes)
    body = told(name=name, scopes=chosen, expires_in_seconds=expires_in_seconds)
    return post(f"{_path(project_id)}/{part(key_id)}", body)
