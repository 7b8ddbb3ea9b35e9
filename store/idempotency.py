"""Answers to requests with an `Idempotency-Key`, kept for a day: who repeats one is told the same again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from store.tables import IdempotencyKey
from store.tenant import Tenant

LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request was answered; `fingerprint` is its body's."""

    fingerprint: str
    answer: str


def find_answer(tenant: Tenant, route: str, key_sha256: str) -> Answered | None:
    """What was answered under a key on a route in the last day; None: nothing."""
    query = select(IdempotencyKey.fingerprint, IdempotencyKey.answer).where(
        IdempotencyKey.project_id == tenant.project_id,
        IdempotencyKey.route == route,
        IdempotencyKey.key_sha256 == key_sha256,
        IdempotencyKey.created_at > func.clock_timestamp() - LIFETIME,
    )
    row = tenant.session.execute(query).one_or_none()
    return None if row is None else Answered(row.fingerprint, row.answer)


def keep_answer(tenant: Tenant, route: str, key_sha256: str, answered: Answered) -> bool:
    """Write an answer beside what the transaction does; False: another request has answered meanwhile.

    Waits for a transaction that answers under the same key at this moment. After False, roll back.
    """
    fields = {
        "created_at": func.clock_timestamp(),
        "fingerprint": answered.fingerprint,
        "answer": answered.answer,
    }
    place = {"project_id": tenant.project_id, "route": route, "key_sha256": key_sha256}
    statement = insert(IdempotencyKey).values(**place, **fields)
    statement = statement.on_conflict_do_update(
        index_elements=list(place),
        set_=fields,
        where=IdempotencyKey.created_at <= func.clock_timestamp() - LIFETIME,
    )
    return tenant.session.scalar(statement.returning(IdempotencyKey.route)) is not None


def forget_answers(session: Session) -> None:
    """Remove what is older than a day."""
    old = IdempotencyKey.created_at <= func.clock_timestamp() - LIFETIME
    session.execute(delete(IdempotencyKey).where(old))
