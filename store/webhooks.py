"""Webhook endpoints: where a project, or one job, wants to be told of the ends of jobs."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Select, delete, func, select, tuple_
from sqlalchemy.orm import Session

from store.ids import new_id
from store.paging import Page, UnknownCursor, page_of
from store.tables import Project, Webhook
from store.tenant import Tenant

EventType = Literal["fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
SECRET_PREFIX = "whsec_"  # noqa: S105  # what every secret begins with
SECRET_BYTES = 32
MAX_WEBHOOKS = 20
"""Of a project, those of single jobs not counted: each one costs a delivery at every job's end."""


OLD_SECRET_LIFETIME = timedelta(hours=24)


class TooManyWebhooks(RuntimeError):
    """The project has all the endpoints that it may have."""


def new_secret() -> str:
    """A secret as OpenAI's clients and those of Standard Webhooks read it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def create_webhook(
    tenant: Tenant,
    *,
    name: str,
    url: str,
    event_types: Sequence[str] = EVENT_TYPES,
    secret: str | None = None,
    job_id: str | None = None,
) -> Webhook:
    """A new endpoint, of one job if `job_id` says so; it may bring its secret. Raises TooManyWebhooks."""
    session = tenant.session
    if job_id is None:
        _make_room(session, tenant)
    webhook = Webhook(
        id=new_id("webhook"),
        project_id=tenant.project_id,
        job_id=job_id,
        name=name,
        url=url,
        event_types=list(event_types),
        secret=secret or new_secret(),
    )
    session.add(webhook)
    session.flush()
    session.refresh(webhook)
    return webhook


def find_webhook(tenant: Tenant, webhook_id: str) -> Webhook | None:
    """An endpoint of the project, or None."""
    return tenant.session.scalars(_webhooks(tenant).where(Webhook.id == webhook_id)).one_or_none()


def list_webhooks(tenant: Tenant, *, after: str | None = None, limit: int = 20) -> Page[Webhook]:
    """A page of the project's endpoints, newest first. Raises UnknownCursor."""
    query = _webhooks(tenant).order_by(Webhook.created_at.desc(), Webhook.id.desc()).limit(limit + 1)
    if after is not None:
        last = find_webhook(tenant, after)
        if last is None:
            raise UnknownCursor(after)
        query = query.where(tuple_(Webhook.created_at, Webhook.id) < (last.created_at, last.id))
    return page_of(tenant.session.scalars(query).all(), limit)


def update_webhook(tenant: Tenant, webhook: Webhook, changes: Mapping[str, Any]) -> None:
    """Change `name`, `url`, `event_types` or `enabled`; what is the same already is no change."""
    changed = {name: value for name, value in changes.items() if getattr(webhook, name) != value}
    for name, value in changed.items():
        setattr(webhook, name, value)
    if changed:
        _note_change(tenant, webhook)


def rotate_secret(tenant: Tenant, webhook: Webhook, *, keep_old: bool) -> None:
    """Give an endpoint a new secret; with `keep_old` the one before signs as well for a day."""
    webhook.old_secret = webhook.secret if keep_old else None
    webhook.old_secret_until = func.clock_timestamp() + OLD_SECRET_LIFETIME if keep_old else None
    webhook.secret = new_secret()
    _note_change(tenant, webhook)


def delete_webhook(tenant: Tenant, webhook_id: str) -> bool:
    """Remove an endpoint with its deliveries, those under way too; False: the project has none of this id."""
    statement = (
        delete(Webhook)
        .where(Webhook.id == webhook_id, Webhook.project_id == tenant.project_id)
        .returning(Webhook.id)
    )
    return tenant.session.scalar(statement) is not None


def _note_change(tenant: Tenant, webhook: Webhook) -> None:
    webhook.updated_at = func.clock_timestamp()
    tenant.session.flush()
    tenant.session.refresh(webhook)


def _webhooks(tenant: Tenant) -> Select[Webhook]:
    return select(Webhook).where(Webhook.project_id == tenant.project_id)


def _make_room(session: Session, tenant: Tenant) -> None:
    # The project's row is locked, so that two requests cannot both take the last place.
    session.execute(select(Project.id).where(Project.id == tenant.project_id).with_for_update())
    count = select(func.count()).select_from(Webhook)
    of_project = count.where(Webhook.project_id == tenant.project_id, Webhook.job_id.is_(None))
    if (session.scalar(of_project) or 0) >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"the project has {MAX_WEBHOOKS} webhooks, which is the most; delete one")
