"""Projects, keys and quotas: what admins look after."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Identified, Lenient

Scope = Literal["read", "write", "admin"]


class Project(Identified):
    """A project: what files, jobs, models and keys belong to."""

    object: str = "organization.project"
    created_at: int
    archived_at: int | None = None
    name: str
    status: Literal["active", "archived"] | str = "active"


class KeyOwner(Lenient):
    """OpenAI names a user here; the service has none, so all is None."""

    type: str | None = None
    user: object = None
    service_account: object = None


class Key(Identified):
    """A project's key, without the key."""

    object: str = "organization.project.api_key"
    created_at: int
    name: str
    redacted_value: str
    last_used_at: int | None = None
    expires_at: int | None = None
    owner: KeyOwner = KeyOwner()
    owner_project_access: Literal["active", "inactive"] | str = "active"
    project_id: str
    scopes: list[Scope | str] = []
    revoked_at: int | None = None


class NewKey(Key):
    """A key just made. `value` is the key, shown this once."""

    value: str


class Usage(Lenient):
    """What a project has now."""

    jobs: int
    bytes: int
    minutes: float
    """Trained in this calendar month (UTC)."""


class Quota(Lenient):
    """A project's limits (None: no limit) and its use of them."""

    object: str = "organization.project.quota"
    project_id: str
    max_jobs: int | None = None
    max_bytes: int | None = None
    max_minutes: int | None = None
    max_requests_per_minute: int | None = None
    usage: Usage
