"""Projects, keys and quotas on the wire: OpenAI's administration objects first, then what is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.wire.common import ChangeModel, Identified, RequestModel, WireModel, unix, unix_or_none
from store.keys import Scope
from store.quotas import Limits, Usage
from store.tables import ApiKey, Project

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Limit = Annotated[int, Field(ge=0, le=2**31 - 1)]
LONGEST_LIFE = 10 * 366 * 24 * 3600


class ProjectRequest(RequestModel):
    """A new project, or a project's new name."""

    name: Name


class KeyRequest(RequestModel):
    """A new key of a project."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, strict=False)] = ("read", "write")
    """read: look; write: make, change and remove; admin: projects, keys and quotas."""
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_LIFE)] | None = None
    """None: it does not expire."""

    @property
    def lifetime(self) -> timedelta | None:
        """How long the key lives."""
        return None if self.expires_in_seconds is None else timedelta(seconds=self.expires_in_seconds)


class KeyUpdate(ChangeModel):
    """Changes of a key."""

    name: Name | None = None
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, strict=False)] | None = None
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_LIFE)] | None = None
    """From now."""


class KeyRotation(RequestModel):
    """How long the key before goes on working, beside the new one."""

    grace_seconds: Annotated[int, Field(ge=0, le=7 * 24 * 3600)] = 0


class QuotaRequest(RequestModel):
    """New limits of a project: null lifts one, and one that is left out stays as it is."""

    max_jobs: Limit | None = Field(default=None, description="Jobs queued and running at once.")
    max_bytes: Annotated[int, Field(ge=0, le=10**18)] | None = Field(
        default=None, description="Bytes of files, models' artifacts and checkpoints."
    )
    max_minutes: Limit | None = Field(
        default=None, description="Minutes of training in a calendar month (UTC)."
    )
    max_requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Requests of each key in a minute; null: the service's own limit."
    )

    def applied_to(self, limits: Limits) -> Limits:
        """The limits with those changed that the body names."""
        return replace(limits, **self.model_dump(exclude_unset=True))


class ProjectObject(Identified):
    """A project: what files, jobs, models and keys belong to."""

    object: Literal["organization.project"] = "organization.project"
    created_at: int
    archived_at: int | None
    name: str
    status: Literal["active", "archived"]


class KeyOwner(WireModel):
    """OpenAI names a user here; this service has none, so all is null."""

    type: None = None
    user: None = None
    service_account: None = None


class KeyObject(Identified):
    """A project's key, without the key; `project_id`, `scopes` and `revoked_at` are ours."""

    object: Literal["organization.project.api_key"] = "organization.project.api_key"
    created_at: int
    name: str
    redacted_value: str
    """The key's first characters."""
    last_used_at: int | None
    """To the minute."""
    expires_at: int | None
    owner: KeyOwner = KeyOwner()
    owner_project_access: Literal["active", "inactive"]
    """Whether the project takes its keys, which an archived one does not."""
    project_id: str
    scopes: list[Scope]
    revoked_at: int | None


class NewKeyObject(KeyObject):
    """A key just made. `value` is the key, shown this once."""

    value: str


class KeyDeleted(WireModel):
    """A key that is revoked."""

    id: str
    object: Literal["organization.project.api_key.deleted"] = "organization.project.api_key.deleted"
    deleted: Literal[True] = True


class UsageObject(WireModel):
    """What a project has now."""

    jobs: int
    bytes: int
    minutes: float
    """Trained in this calendar month (UTC), the jobs that run included."""


class QuotaObject(WireModel):
    """A project's limits (null: none) and its use of them."""

    object: Literal["organization.project.quota"] = "organization.project.quota"
    project_id: str
    max_jobs: int | None
    max_bytes: int | None
    max_minutes: int | None
    max_requests_per_minute: int | None
    usage: UsageObject


def project_object(project: Project) -> ProjectObject:
    """A row as its wire object."""
    return ProjectObject(
        id=project.id,
        created_at=unix(project.created_at),
        archived_at=unix_or_none(project.archived_at),
        name=project.name,
        status="active" if project.archived_at is None else "archived",
    )


def key_object(key: ApiKey, project: Project) -> KeyObject:
    """A row as its wire object."""
    return KeyObject.model_validate(
        {
            "id": key.id,
            "created_at": unix(key.created_at),
            "name": key.name,
            "redacted_value": f"{key.prefix}...",
            "last_used_at": unix_or_none(key.last_used_at),
            "expires_at": unix_or_none(key.expires_at),
            "owner_project_access": "active" if project.archived_at is None else "inactive",
            "project_id": key.project_id,
            "scopes": key.scopes,
            "revoked_at": unix_or_none(key.revoked_at),
        }
    )


def quota_object(project_id: str, limits: Limits, usage: Usage) -> QuotaObject:
    """Limits and use as a wire object."""
    return QuotaObject(
        project_id=project_id,
        max_jobs=limits.max_jobs,
        max_bytes=limits.max_bytes,
        max_minutes=limits.max_minutes,
        max_requests_per_minute=limits.max_requests_per_minute,
        usage=UsageObject(jobs=usage.jobs, bytes=usage.bytes, minutes=round(usage.minutes, 3)),
    )
