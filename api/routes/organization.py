"""`/v1/organization/projects`: projects, their keys and quotas, for keys with the scope admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.errors import bad_request, not_found
from api.idempotency import AdminOnce
from api.routes.dependencies import ERRORS, AdminTx, After, Identifier, Limit
from api.transaction import AdminTransaction
from api.wire.common import ListWithEnds, with_ends
from api.wire.organization import (
    KeyDeleted,
    KeyObject,
    KeyRequest,
    KeyRotation,
    KeyUpdate,
    NewKeyObject,
    ProjectObject,
    ProjectRequest,
    QuotaObject,
    QuotaRequest,
    key_object,
    project_object,
    quota_object,
)
from store.keys import create_key, get_key, is_over, list_keys, revoke_key, rotate_key, update_key
from store.projects import (
    DEFAULT_PROJECT,
    archive_project,
    create_project,
    get_project,
    list_projects,
    rename_project,
)
from store.quotas import limits_of, quota_of, set_limits
from store.tables import ApiKey, Project
from store.tenant import Tenant

router = APIRouter(prefix="/organization/projects", tags=["organization"], responses=ERRORS)


@router.post("")
def create(body: ProjectRequest, tx: AdminTx, once: AdminOnce) -> ProjectObject:
    """Make a project, without keys and without limits."""
    return once.keep(project_object(create_project(tx.session, name=body.name)))


@router.get("")
def list_all(
    tx: AdminTx,
    after: After = None,
    limit: Limit = 20,
    include_archived: Annotated[bool, Query(description="Archived ones too")] = False,
) -> ListWithEnds[ProjectObject]:
    """List projects, newest first."""
    page = list_projects(tx.session, after=after, limit=limit, include_archived=include_archived)
    return with_ends([project_object(project) for project in page.rows], has_more=page.has_more)


@router.get("/{project_id}")
def retrieve(project_id: Identifier, tx: AdminTx) -> ProjectObject:
    """One project."""
    return project_object(_project(tx, project_id))


@router.post("/{project_id}")
def rename(project_id: Identifier, body: ProjectRequest, tx: AdminTx) -> ProjectObject:
    """Give a project another name."""
    project = _project(tx, project_id)
    rename_project(tx.session, project, name=body.name)
    return project_object(project)


@router.post("/{project_id}/archive")
def archive(project_id: Identifier, tx: AdminTx) -> ProjectObject:
    """Refuse a project's keys from now on. What it has stays, and its jobs run to their end."""
    project = _project(tx, project_id)
    if project.id == DEFAULT_PROJECT:
        raise bad_request(
            f"project {DEFAULT_PROJECT} holds the bootstrap key and cannot be archived; revoke its keys",
            param="project_id",
            code="default_project",
        )
    archive_project(tx.session, project)
    return project_object(project)


@router.post("/{project_id}/api_keys")
def create_api_key(project_id: Identifier, body: KeyRequest, tx: AdminTx, once: AdminOnce) -> NewKeyObject:
    """Make a key of a project. Its `value` is shown this once: the service keeps only its SHA-256."""
    project = _project(tx, project_id)
    if project.archived_at is not None:
        raise bad_request(
            f"project {project_id} is archived, so its keys open nothing; make the key in another project",
            param="project_id",
            code="project_archived",
        )
    key, value = create_key(
        tx.session,
        project_id=project.id,
        name=body.name,
        scopes=frozenset(body.scopes),
        lifetime=body.lifetime,
    )
    return once.keep(NewKeyObject(**key_object(key, project).model_dump(), value=value))


@router.get("/{project_id}/api_keys")
def list_api_keys(
    project_id: Identifier,
    tx: AdminTx,
    after: After = None,
    limit: Limit = 20,
    include_revoked: Annotated[bool, Query(description="Revoked ones too")] = False,
) -> ListWithEnds[KeyObject]:
    """List a project's keys, newest first."""
    project = _project(tx, project_id)
    page = list_keys(tx.session, project_id, after=after, limit=limit, include_revoked=include_revoked)
    return with_ends([key_object(key, project) for key in page.rows], has_more=page.has_more)


@router.get("/{project_id}/api_keys/{key_id}")
def retrieve_api_key(project_id: Identifier, key_id: Identifier, tx: AdminTx) -> KeyObject:
    """One key, without its value."""
    project = _project(tx, project_id)
    return key_object(_key(tx, project, key_id), project)


@router.post("/{project_id}/api_keys/{key_id}")
def update_api_key(project_id: Identifier, key_id: Identifier, body: KeyUpdate, tx: AdminTx) -> KeyObject:
    """Change a key's name, scopes or end. A key that has ended stays so."""
    project = _project(tx, project_id)
    key = _living_key(tx, project, key_id)
    seconds = body.expires_in_seconds
    lifetime = None if seconds is None else timedelta(seconds=seconds)
    update_key(tx.session, key, name=body.name, scopes=body.scopes, lifetime=lifetime)
    return key_object(key, project)


@router.post("/{project_id}/api_keys/{key_id}/rotate")
def rotate_api_key(
    project_id: Identifier, key_id: Identifier, body: KeyRotation, tx: AdminTx, once: AdminOnce
) -> NewKeyObject:
    """Make a new key in place of one, with its name, scopes and lifetime. Its `value` is shown this once."""
    project = _project(tx, project_id)
    old = _living_key(tx, project, key_id)
    key, value = rotate_key(tx.session, old, grace=timedelta(seconds=body.grace_seconds))
    return once.keep(NewKeyObject(**key_object(key, project).model_dump(), value=value))


@router.delete("/{project_id}/api_keys/{key_id}")
def revoke_api_key(project_id: Identifier, key_id: Identifier, tx: AdminTx) -> KeyDeleted:
    """Revoke a key: with it end the cookies that it bought and the streams that it opened."""
    revoke_key(tx.session, _key(tx, _project(tx, project_id), key_id))
    return KeyDeleted(id=key_id)


@router.get("/{project_id}/quota")
def quota(project_id: Identifier, tx: AdminTx) -> QuotaObject:
    """A project's limits and its use of them."""
    return _quota(tx, _project(tx, project_id))


@router.post("/{project_id}/quota")
def set_quota(project_id: Identifier, body: QuotaRequest, tx: AdminTx) -> QuotaObject:
    """Set a project's limits; those that the body leaves out stay as they are."""
    project = _project(tx, project_id)
    set_limits(tx.session, project, body.applied_to(limits_of(project)))
    return _quota(tx, project)


def _project(tx: AdminTransaction, project_id: str) -> Project:
    project = get_project(tx.session, project_id)
    if project is None:
        raise not_found("project", project_id, param="project_id")
    return project


def _key(tx: AdminTransaction, project: Project, key_id: str) -> ApiKey:
    key = get_key(tx.session, project.id, key_id)
    if key is None:
        raise not_found("api key", key_id, param="key_id")
    return key


def _living_key(tx: AdminTransaction, project: Project, key_id: str) -> ApiKey:
    key = _key(tx, project, key_id)
    if is_over(key):
        raise bad_request(
            f"api key {key_id} is revoked or expired; make a new one", param="key_id", code="key_ended"
        )
    return key


def _quota(tx: AdminTransaction, project: Project) -> QuotaObject:
    return quota_object(project.id, *quota_of(Tenant(tx.session, project.id)))
