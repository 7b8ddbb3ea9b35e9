"""`/v1/webhooks/{id}/deliveries` and `/test`: what was sent to a webhook, sent again, and tried out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from api.errors import ApiError, bad_request, not_found
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.routes.webhooks import the_webhook
from api.services import Services
from api.wire.common import ListOf
from api.wire.webhooks import DeliveryObject, WebhookTest, WebhookTestObject, delivery_object
from store.deliveries import enqueue_test, find_delivery, list_deliveries, send_again
from store.tables import Webhook, WebhookDelivery
from store.tenant import Tenant

TEST_SECONDS = 25.0
"""A scheduler looks every few seconds, and an endpoint has 15 to answer."""
LOOK_SECONDS = 0.25

router = APIRouter(prefix="/{webhook_id}", tags=["webhooks"], responses=ERRORS)


@router.get("/deliveries")
def deliveries(
    webhook_id: Identifier, tx: Tx, after: After = None, limit: Limit = 20
) -> ListOf[DeliveryObject]:
    """What was sent to a webhook, and what it answered, newest first."""
    the_webhook(tx.tenant, webhook_id)
    page = list_deliveries(tx.tenant, webhook_id, after=after, limit=limit)
    return ListOf(data=[delivery_object(row) for row in page.rows], has_more=page.has_more)


@router.post("/deliveries/{delivery_id}/redeliver")
def redeliver(webhook_id: Identifier, delivery_id: Identifier, tx: Tx) -> DeliveryObject:
    """Send an event again, under the same `webhook-id`, whether it was taken, given up, or waits."""
    _check_enabled(the_webhook(tx.tenant, webhook_id))
    delivery = find_delivery(tx.tenant, webhook_id, delivery_id)
    if delivery is None:
        raise not_found("delivery", delivery_id, param="delivery_id")
    send_again(tx.tenant, delivery)
    return delivery_object(delivery)


@router.post("/test")
async def test(
    webhook_id: Identifier, body: WebhookTest, services: OpenServices, tx: Tx
) -> WebhookTestObject:
    """Send a sample event, once, and tell what was answered; the scheduler sends it, as all others."""
    # Not the request's transaction: the scheduler must see the test while this request waits.
    trial = _Trial(services, tx.tenant.project_id, webhook_id)
    delivery_id = await run_in_threadpool(trial.begin, body.event_type)
    delivery = await trial.outcome(delivery_id)
    if delivery is None:
        raise ApiError(
            504,
            f"The webhook was not tried within {TEST_SECONDS:g} s; is the scheduler running? The log will "
            f"have it as {delivery_id}",
            code="webhook_test_pending",
            headers={"x-should-retry": "false"},
        )
    if delivery.status_code is None:
        raise bad_request(
            f"the webhook did not answer: {delivery.error}", param="webhook_id", code="webhook_unreachable"
        )
    return WebhookTestObject(
        webhook_endpoint_id=webhook_id,
        event_type=body.event_type,
        status_code=delivery.status_code,
        delivery_id=delivery_id,
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """A test of a webhook, from its writing to its outcome."""

    services: Services
    project_id: str
    webhook_id: str

    def begin(self, event_type: str) -> str:
        """Write the delivery; its id."""
        with self.services.database.session() as session:
            webhook = the_webhook(Tenant(session, self.project_id), self.webhook_id)
            _check_enabled(webhook)
            return enqueue_test(session, webhook, event_type).id

    async def outcome(self, delivery_id: str) -> WebhookDelivery | None:
        """The delivery once it was tried; None: it was not in time."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + TEST_SECONDS
        while clock.time() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            delivery = await run_in_threadpool(self._look, delivery_id)
            if delivery.next_attempt_at is None:
                return delivery
        return None

    def _look(self, delivery_id: str) -> WebhookDelivery:
        with self.services.database.session() as session:
            delivery = find_delivery(Tenant(session, self.project_id), self.webhook_id, delivery_id)
        if delivery is None:  # deleted meanwhile
            raise not_found("webhook", self.webhook_id, param="webhook_id")
        return delivery


def _check_enabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        raise bad_request(
            f"webhook {webhook.id} is switched off; switch it on first",
            param="webhook_id",
            code="webhook_disabled",
        )
