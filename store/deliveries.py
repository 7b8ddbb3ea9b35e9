"""Events on their way to webhooks: written with a job's end, delivered at least once, under one id each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, case, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from store.ids import new_id
from store.paging import Page, UnknownCursor, page_of
from store.tables import Job, Webhook, WebhookDelivery
from store.tenant import Tenant

SAMPLE_JOB = "ftjob-sample"
"""The job that test events tell of, which there is not."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is to be tried now; `attempt` fences its outcome."""

    id: str
    attempt: int
    job_id: str | None
    """None: a test, which is tried once."""
    body: str
    url: str
    secrets: tuple[str, ...]
    """Each of them signs; the endpoint knows one at least."""


def enqueue(session: Session, job: Job) -> None:
    """Write the event of a job that has just ended, for each endpoint that wants it; in its transaction."""
    event_type = f"fine_tuning.job.{job.state.value}"
    wanted = select(Webhook.id).where(
        Webhook.project_id == job.project_id,
        or_(Webhook.job_id.is_(None), Webhook.job_id == job.id),
        Webhook.event_types.contains([event_type]),
        Webhook.enabled,
    )
    assert job.finished_at is not None  # noqa: S101  # the transition has set it
    body = _body(event_type, job.id, job.finished_at)
    session.add_all(
        WebhookDelivery(
            id=new_id("wh"),
            webhook_id=webhook_id,
            job_id=job.id,
            event_type=event_type,
            body=body,
            next_attempt_at=func.clock_timestamp(),
        )
        for webhook_id in session.scalars(wanted)
    )


def enqueue_test(session: Session, webhook: Webhook, event_type: str) -> WebhookDelivery:
    """Write a sample event for an endpoint, whatever it wants to be told of."""
    delivery = WebhookDelivery(
        id=new_id("wh"),
        webhook_id=webhook.id,
        event_type=event_type,
        body=_body(event_type, SAMPLE_JOB, datetime.now(UTC)),
        next_attempt_at=func.clock_timestamp(),
    )
    session.add(delivery)
    session.flush()
    return delivery


def find_delivery(tenant: Tenant, webhook_id: str, delivery_id: str) -> WebhookDelivery | None:
    """What one of the project's endpoints was or is to be sent, or None."""
    query = _deliveries(tenant, webhook_id).where(WebhookDelivery.id == delivery_id)
    return tenant.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def send_again(tenant: Tenant, delivery: WebhookDelivery) -> None:
    """Make a delivery due now, under the same id, whatever came of it before."""
    delivery.next_attempt_at = func.clock_timestamp()
    delivery.delivered_at = None
    tenant.session.flush()
    tenant.session.refresh(delivery)


def give_up(tenant: Tenant, webhook_id: str, *, reason: str) -> None:
    """End all that is on its way to an endpoint of the project."""
    waits = _deliveries(tenant, webhook_id).where(WebhookDelivery.next_attempt_at.is_not(None))
    for delivery in tenant.session.scalars(waits.with_for_update(of=WebhookDelivery)):
        delivery.next_attempt_at = None
        delivery.error = reason
        delivery.attempts += 1  # fences off an attempt that is under way
    tenant.session.flush()


def claim_due(session: Session, *, limit: int, lease_seconds: float) -> list[Due]:
    """Take what is due, the longest overdue first; who takes it and is lost leaves it to be taken again."""
    due = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.next_attempt_at <= func.clock_timestamp())
        .order_by(WebhookDelivery.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.scalars(due))
    if not ids:
        return []
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id.in_(ids))
        .values(
            attempts=WebhookDelivery.attempts + 1,
            attempted_at=func.clock_timestamp(),
            next_attempt_at=func.clock_timestamp() + timedelta(seconds=lease_seconds),
        )
        .execution_options(synchronize_session=False)
    )
    taken = (
        select(
            WebhookDelivery.id,
            WebhookDelivery.attempts,
            WebhookDelivery.job_id,
            WebhookDelivery.body,
            Webhook.url,
            Webhook.secret,
            case((Webhook.old_secret_until > func.clock_timestamp(), Webhook.old_secret)).label("old_secret"),
        )
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(WebhookDelivery.id.in_(ids))
    )
    return [
        Due(
            row.id, row.attempts, row.job_id, row.body, row.url, (row.secret, *filter(None, [row.old_secret]))
        )
        for row in session.execute(taken)
    ]


def record_outcome(
    session: Session,
    due: Due,
    *,
    delivered: bool,
    status_code: int | None,
    error: str | None,
    retry_seconds: float | None,
) -> None:
    """Write how an attempt went; `retry_seconds` None: there is no other. A later attempt's row is left."""
    now = func.clock_timestamp()
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == due.id, WebhookDelivery.attempts == due.attempt)
        .values(
            status_code=status_code,
            error=error,
            delivered_at=now if delivered else None,
            next_attempt_at=None if retry_seconds is None else now + timedelta(seconds=retry_seconds),
        )
        .execution_options(synchronize_session=False)
    )


def forget_deliveries(session: Session, *, older_than_days: int) -> int:
    """Remove what was delivered, or given up, and written so long ago; returns how many that were."""
    statement = delete(WebhookDelivery).where(
        WebhookDelivery.next_attempt_at.is_(None),
        WebhookDelivery.created_at < func.now() - timedelta(days=older_than_days),
    )
    removed = session.scalars(
        statement.returning(WebhookDelivery.id).execution_options(synchronize_session=False)
    )
    return len(removed.all())


def list_deliveries(
    tenant: Tenant, webhook_id: str, *, after: str | None = None, limit: int = 20
) -> Page[WebhookDelivery]:
    """A page of what one of the project's endpoints was sent, newest first. Raises UnknownCursor."""
    of_webhook = _deliveries(tenant, webhook_id)
    query = of_webhook.order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
    if after is not None:
        last = tenant.session.scalars(of_webhook.where(WebhookDelivery.id == after)).one_or_none()
        if last is None:
            raise UnknownCursor(after)
        place = tuple_(WebhookDelivery.created_at, WebhookDelivery.id)
        query = query.where(place < (last.created_at, last.id))
    return page_of(tenant.session.scalars(query.limit(limit + 1)).all(), limit)


def _deliveries(tenant: Tenant, webhook_id: str) -> Select[WebhookDelivery]:
    return (
        select(WebhookDelivery)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(Webhook.id == webhook_id, Webhook.project_id == tenant.project_id)
    )


def _body(event_type: str, job_id: str, moment: datetime) -> str:
    """The event as OpenAI has it."""
    event = {
        "id": new_id("evt"),
        "object": "event",
        "created_at": int(moment.timestamp()),
        "type": event_type,
        "data": {"id": job_id},
    }
    return json.dumps(event, separators=(",", ":"))
