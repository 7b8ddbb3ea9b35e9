"""`/v1/webhooks`: who is told of the ends of jobs. Also at `/v1/webhook_endpoints`, where the SDK looks."""

from __future__ import annotations

from fastapi import APIRouter

from api.errors import bad_request, not_found
from api.idempotency import JsonOnce
from api.routes.dependencies import ERRORS, After, Identifier, Limit, OpenServices, Tx
from api.services import Services
from api.transaction import ProjectTransaction
from api.wire.common import ListWithEnds, with_ends
from api.wire.webhooks import (
    EventTypeList,
    JobWebhook,
    NewWebhookObject,
    SecretRotation,
    WebhookDeleted,
    WebhookObject,
    WebhookRequest,
    WebhookUpdate,
    webhook_object,
)
from store.addresses import refusal
from store.deliveries import give_up
from store.tables import Webhook
from store.tenant import Tenant
from store.webhooks import (
    EVENT_TYPES,
    TooManyWebhooks,
    create_webhook,
    delete_webhook,
    find_webhook,
    list_webhooks,
    rotate_secret,
    update_webhook,
)

router = APIRouter(tags=["webhooks"], responses=ERRORS)
event_types = APIRouter(prefix="/webhook_event_types", tags=["webhooks"], responses=ERRORS)


@event_types.get("")
def list_event_types(tx: Tx) -> EventTypeList:
    """List the events that a webhook can be told of."""
    del tx
    return EventTypeList(data=list(EVENT_TYPES))


@router.post("")
def create(body: WebhookRequest, services: OpenServices, tx: Tx, once: JsonOnce) -> NewWebhookObject:
    """Have an address told of the ends of jobs. Its `signing_secret` is shown this once."""
    check_url(body.url, services, param="url")
    try:
        webhook = create_webhook(tx.tenant, name=body.name, url=body.url, event_types=body.event_types)
    except TooManyWebhooks as error:
        raise bad_request(str(error), param=None, code="too_many_webhooks") from error
    made = NewWebhookObject(**webhook_object(webhook).model_dump(), signing_secret=webhook.secret)
    return once.keep(made)


@router.get("")
def list_all(tx: Tx, after: After = None, limit: Limit = 20) -> ListWithEnds[WebhookObject]:
    """List webhooks, newest first, those of single jobs too."""
    page = list_webhooks(tx.tenant, after=after, limit=limit)
    return with_ends([webhook_object(webhook) for webhook in page.rows], has_more=page.has_more)


@router.get("/{webhook_id}")
def retrieve(webhook_id: Identifier, tx: Tx) -> WebhookObject:
    """One webhook, without its secret."""
    return webhook_object(the_webhook(tx.tenant, webhook_id))


@router.post("/{webhook_id}")
def update(webhook_id: Identifier, body: WebhookUpdate, services: OpenServices, tx: Tx) -> WebhookObject:
    """Change a webhook's name, URL or events, or switch it off and on."""
    webhook = the_webhook(tx.tenant, webhook_id)
    if body.url is not None:
        check_url(body.url, services, param="url")
    if body.enabled is False:
        give_up(tx.tenant, webhook_id, reason="the webhook was switched off")
    update_webhook(tx.tenant, webhook, body.changes())
    return webhook_object(webhook)


@router.post("/{webhook_id}/rotate_secret")
def rotate(webhook_id: Identifier, body: SecretRotation, tx: Tx, once: JsonOnce) -> NewWebhookObject:
    """Give a webhook a new secret, which is shown this once."""
    webhook = the_webhook(tx.tenant, webhook_id)
    rotate_secret(tx.tenant, webhook, keep_old=body.keep_old_secret_active_for_24_hours)
    return once.keep(NewWebhookObject(**webhook_object(webhook).model_dump(), signing_secret=webhook.secret))


@router.delete("/{webhook_id}")
def delete(webhook_id: Identifier, tx: Tx) -> WebhookDeleted:
    """Remove a webhook, its log and all that is on its way to it."""
    if not delete_webhook(tx.tenant, webhook_id):
        raise not_found("webhook", webhook_id, param="webhook_id")
    return WebhookDeleted(id=webhook_id)


def check_url(url: str, services: Services, *, param: str) -> None:
    """Refuse an address that no delivery would be sent to."""
    reason = refusal(url, private=services.settings.webhook_private)
    if reason is not None:
        raise bad_request(f"{param}: {reason}", param=param, code="invalid_url")


def add_of_job(tx: ProjectTransaction, job_id: str, wanted: JobWebhook) -> None:
    """The webhook that a request for a job brings; its URL has been checked."""
    create_webhook(
        tx.tenant,
        name=f"job {job_id}",
        url=wanted.url,
        secret=wanted.secret.get_secret_value(),
        job_id=job_id,
    )


def the_webhook(tenant: Tenant, webhook_id: str) -> Webhook:
    """The webhook of the caller's project; raises ApiError 404."""
    webhook = find_webhook(tenant, webhook_id)
    if webhook is None:
        raise not_found("webhook", webhook_id, param="webhook_id")
    return webhook
