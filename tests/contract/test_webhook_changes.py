"""Webhooks that are changed, switched off, given a new secret, tested, and sent to again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import func, update

from api.routes import deliveries as routes
from standalone.ports import free_port
from store.tables import Webhook
from tests.contract.conftest import Service, serving
from tests.contract.errors import check_error
from tests.contract.tenants import join
from tests.contract.worker import Run
from tests.receiver import Receiver, receiving
from worker.courier import Courier

WEBHOOKS = "/v1/webhooks"
URL = "https://example.com/hook"


@pytest.fixture(scope="module")
def open_service(service: Service) -> Iterator[Service]:
    """A service whose webhooks may lead to this machine."""
    with serving(service.settings.model_copy(update={"webhook_private": True})) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def own(open_service: Service) -> Service:
    """A project of its own."""
    return join(open_service).service


@pytest.fixture
def client(own: Service) -> Iterator[openai.OpenAI]:
    with own.client as client:
        yield client


def deliver(service: Service) -> int:
    """What the scheduler sends, now."""
    return Courier(service.settings, service.database, pause=lambda _: 0.0).tick()


def test_the_client_changes_one(client: openai.OpenAI, own: Service) -> None:
    made = client.webhooks.create(name="ends", url=URL, event_types=["fine_tuning.job.failed"])
    changed = client.webhooks.update(
        made.id, name="starts", url=f"{URL}/2", event_types=["fine_tuning.job.succeeded"]
    )
    assert (changed.name, changed.url, changed.event_types) == (
        "starts",
        f"{URL}/2",
        ["fine_tuning.job.succeeded"],
    )
    assert client.webhooks.retrieve(made.id) == changed
    assert client.webhooks.update(made.id, name="again").url == f"{URL}/2"
    assert "fine_tuning.job.failed" in client.webhooks.event_types.list().data


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_value", None),
        ({"event_types": []}, "invalid_value", "event_types"),
        ({"url": "ftp://example.com"}, "invalid_url", "url"),
        ({"enabled": "no"}, "invalid_value", "enabled"),
        ({"secret": "mine"}, "unknown_parameter", "secret"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    own: Service, body: dict[str, Any], code: str, param: str
) -> None:
    with own.http() as http:
        made = http.post(WEBHOOKS, json={"url": URL}).json()
        check_error(http.post(f"{WEBHOOKS}/{made['id']}", json=body), 400, code=code, param=param)
        assert http.get(f"{WEBHOOKS}/{made['id']}").json()["updated_at"] == made["updated_at"]


def test_one_that_is_switched_off_gets_nothing(own: Service, receiver: Receiver) -> None:
    with own.http() as http:
        hook = http.post(WEBHOOKS, json={"url": receiver.url}).json()
        address = f"{WEBHOOKS}/{hook['id']}"
        Run(own, own.create_job()).fail()
        assert http.post(address, json={"enabled": False}).json()["enabled"] is False
        Run(own, own.create_job()).fail()
        assert deliver(own) == 0
        (given_up,) = http.get(f"{address}/deliveries").json()["data"]
        assert (given_up["status"], given_up["error"]) == ("failed", "the webhook was switched off")
        again = f"{address}/deliveries/{given_up['id']}/redeliver"
        event = {"event_type": "fine_tuning.job.failed"}
        for answer in (http.post(again), http.post(f"{address}/test", json=event)):
            check_error(answer, 400, code="webhook_disabled", param="webhook_id")
        http.post(address, json={"enabled": True})
        assert http.post(again).json()["status"] == "pending"
    assert deliver(own) == 1
    assert [item.headers["webhook-id"] for item in receiver.received] == [given_up["id"]]


def test_an_event_can_be_sent_again(own: Service, receiver: Receiver, client: openai.OpenAI) -> None:
    with own.http() as http:
        hook = http.post(WEBHOOKS, json={"url": receiver.url}).json()
        Run(own, own.create_job()).fail()
        assert (deliver(own), deliver(own)) == (1, 0)
        (sent,) = http.get(f"{WEBHOOKS}/{hook['id']}/deliveries").json()["data"]
        again = http.post(f"{WEBHOOKS}/{hook['id']}/deliveries/{sent['id']}/redeliver").json()
        assert (again["id"], again["status"], again["delivered_at"]) == (sent["id"], "pending", None)
        assert (deliver(own), deliver(own)) == (1, 0)
        missing = http.post(f"{WEBHOOKS}/{hook['id']}/deliveries/wh-none/redeliver")
        check_error(missing, 404, code="delivery_not_found", param="delivery_id")
    first, second = receiver.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    client.webhooks.verify_signature(second.body, second.headers, secret=hook["signing_secret"])


@pytest.mark.parametrize("keep", [False, True])
def test_a_new_secret_signs_and_the_old_one_only_if_it_is_kept(
    own: Service, receiver: Receiver, client: openai.OpenAI, keep: bool
) -> None:
    made = client.webhooks.create(name="ends", url=receiver.url, event_types=["fine_tuning.job.failed"])
    rotated = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=keep)
    assert rotated.signing_secret != made.signing_secret
    assert rotated.signing_secret not in client.webhooks.retrieve(made.id).to_json()
    Run(own, own.create_job()).fail()
    deliver(own)
    with own.database.session() as session:
        late = func.now() - timedelta(seconds=1)
        session.execute(update(Webhook).where(Webhook.id == made.id).values(old_secret_until=late))
    Run(own, own.create_job()).fail()
    deliver(own)

    def accepted(number: int, secret: str) -> bool:
        request = receiver.received[number]
        try:
            client.webhooks.unwrap(request.body, request.headers, secret=secret)
        except openai.InvalidWebhookSignatureError:
            return False
        return True

    assert [accepted(number, rotated.signing_secret) for number in (0, 1)] == [True, True]
    assert [accepted(number, made.signing_secret) for number in (0, 1)] == [keep, False]


def trying(service: Service, stop: threading.Event) -> threading.Thread:
    """A scheduler's courier."""

    def run() -> None:
        while not stop.wait(0.05):
            deliver(service)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("status", [200, 503])
def test_a_test_tells_what_was_answered(
    own: Service, receiver: Receiver, client: openai.OpenAI, status: int
) -> None:
    made = client.webhooks.create(name="ends", url=receiver.url, event_types=["fine_tuning.job.failed"])
    receiver.answers = [status]
    stop = threading.Event()
    thread = trying(own, stop)
    try:
        result = client.webhooks.test(made.id, event_type="fine_tuning.job.succeeded")
    finally:
        stop.set()
        thread.join()
    assert (result.object, result.status_code, result.success) == ("webhook_endpoint.test", status, True)
    (request,) = receiver.received
    event = client.webhooks.unwrap(request.body, request.headers, secret=made.signing_secret)
    assert event.type == "fine_tuning.job.succeeded"
    with own.http() as http:
        (sent,) = http.get(f"{WEBHOOKS}/{made.id}/deliveries").json()["data"]
    assert (sent["job_id"], sent["attempts"], sent["next_attempt_at"]) == (None, 1, None)


def test_a_test_that_nobody_answers_says_so(own: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"event_type": "fine_tuning.job.succeeded"}
    with own.http() as http:
        url = f"http://127.0.0.1:{free_port()}/"
        made = http.post(WEBHOOKS, json={"url": url}).json()
        stop = threading.Event()
        thread = trying(own, stop)
        try:
            answer: httpx.Response = http.post(f"{WEBHOOKS}/{made['id']}/test", json=event)
        finally:
            stop.set()
            thread.join()
        message = check_error(answer, 400, code="webhook_unreachable", param="webhook_id")
        assert "ConnectError" in message
        monkeypatch.setattr(routes, "TEST_SECONDS", 0.3)
        late = http.post(f"{WEBHOOKS}/{made['id']}/test", json=event)
        check_error(late, 504, code="webhook_test_pending", param=None)
        assert late.headers["x-should-retry"] == "false"
