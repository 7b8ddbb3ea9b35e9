"""API keys: made once and shown once; looked up by their SHA-256, dead when revoked, expired or archived."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import Select, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from store.ids import new_id, random_text
from store.paging import Page, UnknownCursor, page_of
from store.tables import ApiKey, Project

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""read: look; write: make, change and remove; admin: projects, keys and quotas. None holds another."""

PREFIX = "isk-"
SECRET_CHARACTERS = 43
"""256 bits."""
SHOWN_CHARACTERS = len(PREFIX) + 6
USE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """What a key that is alive may do."""

    key_id: str
    project_id: str
    scopes: frozenset[str]
    sha256: str
    expires_at: datetime | None
    max_requests_per_minute: int | None
    """Of its project; None: none of its own."""


def digest(key: str) -> str:
    """A key as it is kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def create_key(
    session: Session,
    *,
    project_id: str,
    name: str,
    scopes: frozenset[Scope],
    lifetime: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """A new key's row, and the key itself, which nothing can show again."""
    secret = PREFIX + random_text(SECRET_CHARACTERS)
    key = ApiKey(
        id=new_id("key"),
        project_id=project_id,
        name=name,
        prefix=secret[:SHOWN_CHARACTERS],
        sha256=digest(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=None if lifetime is None else datetime.now(UTC) + lifetime,
    )
    session.add(key)
    session.flush()
    session.refresh(key)
    return key, secret


def use_key(session: Session, sha256: str) -> Holder | None:
    """Who holds the key with this SHA-256, and note that it was used; None: no key that is alive."""
    return _use(session, _alive().where(ApiKey.sha256 == sha256))


def use_key_by_id(session: Session, key_id: str) -> Holder | None:
    """Who holds the key with this id, for a caller who has shown it before; as `use_key`."""
    return _use(session, _alive().where(ApiKey.id == key_id))


def alive(session: Session, key_ids: Collection[str]) -> frozenset[str]:
    """Those of these keys that still open anything."""
    return frozenset(key.id for key, _ in session.execute(_alive().where(ApiKey.id.in_(key_ids))))


def get_key(session: Session, project_id: str, key_id: str) -> ApiKey | None:
    """A key of a project, alive or not, or None."""
    return session.scalars(
        select(ApiKey).where(ApiKey.id == key_id, ApiKey.project_id == project_id)
    ).one_or_none()


def find_key(session: Session, key_id: str) -> ApiKey | None:
    """A key of any project, alive or not, or None: for the administrator's hand."""
    return session.get(ApiKey, key_id)


def list_keys(
    session: Session,
    project_id: str,
    *,
    after: str | None = None,
    limit: int = 20,
    include_revoked: bool = False,
) -> Page[ApiKey]:
    """A page of a project's keys, newest first. Raises UnknownCursor when `after` is none of them."""
    query = (
        select(ApiKey)
        .where(ApiKey.project_id == project_id)
        .order_by(ApiKey.created_at.desc(), ApiKey.id.desc())
        .limit(limit + 1)
    )
    if not include_revoked:
        query = query.where(ApiKey.revoked_at.is_(None))
    if after is not None:
        last = get_key(session, project_id, after)
        if last is None:
            raise UnknownCursor(after)
        query = query.where(tuple_(ApiKey.created_at, ApiKey.id) < (last.created_at, last.id))
    return page_of(session.scalars(query).all(), limit)


def revoke_key(session: Session, key: ApiKey) -> None:
    """Make the key worthless, with the cookies bought with it; twice changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = datetime.now(UTC)
        session.flush()


def is_over(key: ApiKey) -> bool:
    """Whether a key is revoked or expired."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC))


def update_key(
    session: Session,
    key: ApiKey,
    *,
    name: str | None = None,
    scopes: Collection[Scope] | None = None,
    lifetime: timedelta | None = None,
) -> None:
    """Change a key that is alive; what is None stays. `lifetime` counts from now."""
    if name is not None:
        key.name = name
    if scopes is not None:
        key.scopes = [scope for scope in SCOPES if scope in scopes]
    if lifetime is not None:
        key.expires_at = datetime.now(UTC) + lifetime
    session.flush()


def rotate_key(session: Session, key: ApiKey, *, grace: timedelta) -> tuple[ApiKey, str]:
    """A new key in place of one that is alive, as `create_key`: of its name, scopes and lifetime.

    The one before ends after `grace`; without one it is revoked, and with it all that it opened.
    """
    lifetime = None if key.expires_at is None else key.expires_at - key.created_at
    made = create_key(
        session,
        project_id=key.project_id,
        name=key.name,
        scopes=frozenset(scope for scope in SCOPES if scope in key.scopes),
        lifetime=lifetime,
    )
    end = datetime.now(UTC) + grace
    if not grace:
        revoke_key(session, key)
    elif key.expires_at is None or end < key.expires_at:
        key.expires_at = end
        session.flush()
    return made


def first_admin_key(session: Session, *, project_id: str) -> tuple[ApiKey, str] | None:
    """A key with all scopes, as `create_key`, if no key that is alive has the scope admin; else None."""
    # Of two that ask at once, the second waits here, and then finds the first one's key.
    session.scalars(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True)).one()
    if session.execute(_alive().where(ApiKey.scopes.contains(["admin"])).limit(1)).first() is not None:
        return None
    return create_key(session, project_id=project_id, name="admin", scopes=frozenset(SCOPES))


def _alive() -> Select[ApiKey, int | None]:
    return (
        select(ApiKey, Project.max_requests_per_minute)
        .join(Project, Project.id == ApiKey.project_id)
        .where(
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()),
            Project.archived_at.is_(None),
        )
    )


def _use(session: Session, query: Select[ApiKey, int | None]) -> Holder | None:
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    key, max_requests = row
    if key.last_used_at is None or key.last_used_at < datetime.now(UTC) - USE_EVERY:
        _note_use(session, key.id)
    return Holder(
        key_id=key.id,
        project_id=key.project_id,
        scopes=frozenset(key.scopes),
        sha256=key.sha256,
        expires_at=key.expires_at,
        max_requests_per_minute=max_requests,
    )


def _note_use(session: Session, key_id: str) -> None:
    """Write the use down; of many requests at once, the first does."""
    stale = ApiKey.last_used_at < func.clock_timestamp() - USE_EVERY
    session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, or_(ApiKey.last_used_at.is_(None), stale))
        .values(last_used_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )
