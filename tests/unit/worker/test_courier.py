"""Deliveries: signed as the SDK checks it, repeated until taken, never into somebody's own network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import openai
import pytest
from httpcore2 import AsyncConnectionPool
from sqlalchemy import func, update

from standalone.ports import free_port
from store import deliveries, runs
from store.database import Database
from store.settings import Settings
from store.tables import WebhookDelivery
from store.webhooks import EVENT_TYPES, create_webhook, delete_webhook
from tests.factories import claimed, tenant
from tests.receiver import Receiver, receiving
from worker import courier
from worker.courier import Courier, pause_seconds

NOW = 0.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def post(settings: Settings, database: Database) -> Courier:
    """A courier that may deliver on loopback and tries again at once."""
    allowed = settings.model_copy(update={"webhook_private": True})
    return Courier(allowed, database, pause=lambda _: NOW)


def subscribe(database: Database, url: str, *, event_types: tuple[str, ...] = EVENT_TYPES) -> tuple[str, str]:
    """A new endpoint's id and secret."""
    with database.session() as session:
        webhook = create_webhook(tenant(session), name="test", url=url, event_types=event_types)
        return webhook.id, webhook.secret


def end_a_job(database: Database) -> str:
    """A job that has failed."""
    held = claimed(database)
    with database.session() as session:
        assert runs.finish_failed(session, held.job_id, held.attempt, code="x", message="y") is not None
    return held.job_id


def log_of(database: Database, webhook_id: str) -> list[WebhookDelivery]:
    with database.session() as session:
        return deliveries.list_deliveries(tenant(session), webhook_id).rows


def test_the_sdk_accepts_what_is_sent(database: Database, post: Courier, receiver: Receiver) -> None:
    webhook_id, secret = subscribe(database, receiver.url)
    job_id = end_a_job(database)
    assert (post.tick(), post.tick()) == (1, 0)
    (request,) = receiver.received
    client = openai.OpenAI(api_key="none")
    event = client.webhooks.unwrap(request.body, request.headers, secret=secret)
    assert event.type == "fine_tuning.job.failed"
    assert event.data.id == job_id
    body = json.loads(request.body)
    assert set(body) == {"id", "object", "created_at", "type", "data"}
    assert (body["object"], body["data"]) == ("event", {"id": job_id})
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(request.body + b" ", request.headers, secret=secret)
    (delivery,) = log_of(database, webhook_id)
    assert (delivery.id, delivery.status_code) == (request.headers["webhook-id"], 200)
    assert (delivery.attempts, delivery.next_attempt_at, delivery.error) == (1, None, None)
    assert delivery.delivered_at is not None


def test_a_refused_delivery_comes_again_under_its_id(
    database: Database, post: Courier, receiver: Receiver
) -> None:
    receiver.answers = [500, 302, 404]
    webhook_id, secret = subscribe(database, receiver.url)
    end_a_job(database)
    errors = []
    for _ in range(4):
        assert post.tick() == 1
        errors.append(log_of(database, webhook_id)[0].error)
    assert errors == ["answered 500", "answered 302 (redirects are not followed)", "answered 404", None]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
    assert {request.path for request in receiver.received} == {"/hook"}
    assert post.tick() == 0
    assert secret not in str(receiver.received)


def test_only_what_is_subscribed_to_is_sent(database: Database, post: Courier, receiver: Receiver) -> None:
    subscribe(database, receiver.url, event_types=("fine_tuning.job.succeeded",))
    end_a_job(database)
    assert post.tick() == 0


def test_nothing_is_sent_of_a_change_that_is_rolled_back(
    database: Database, post: Courier, receiver: Receiver
) -> None:
    subscribe(database, receiver.url)
    held = claimed(database)
    with pytest.raises(RuntimeError, match="undo"), database.session() as session:
        assert runs.finish_cancelled(session, held.job_id, held.attempt) is not None
        raise RuntimeError("undo")
    assert post.tick() == 0


def test_it_gives_up_in_the_end(database: Database, post: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "MAX_ATTEMPTS", 3)
    webhook_id, _ = subscribe(database, f"http://127.0.0.1:{free_port()}/")
    end_a_job(database)
    assert [post.tick() for _ in range(4)] == [1, 1, 1, 0]
    (delivery,) = log_of(database, webhook_id)
    assert (delivery.attempts, delivery.status_code, delivery.delivered_at) == (3, None, None)
    assert (delivery.error or "").startswith("ConnectError")


def test_the_pauses_grow_and_are_spread() -> None:
    pauses = [pause_seconds(attempt) for attempt in range(1, courier.MAX_ATTEMPTS)]
    assert 4 <= pauses[0] <= 6
    assert 12 <= pauses[1] <= 18
    assert max(pauses) <= 6 * 3600 * 1.2
    assert 12 * 3600 < sum(pauses) < 36 * 3600
    assert len({pause_seconds(5) for _ in range(10)}) > 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433"])
def test_a_name_that_leads_inside_is_refused_at_delivery(
    settings: Settings, database: Database, receiver: Receiver, host: str
) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    webhook_id, _ = subscribe(database, url)
    end_a_job(database)
    assert Courier(settings, database, pause=lambda _: NOW).tick() == 1
    (delivery,) = log_of(database, webhook_id)
    assert delivery.error == f"{host.strip('[]')} leads to an address that is not public"
    assert receiver.received == []


def test_one_that_does_not_answer_holds_up_no_other(
    database: Database, post: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent_id, _ = subscribe(database, f"http://127.0.0.1:{mute.getsockname()[1]}/")
        subscribe(database, receiver.url)
        end_a_job(database)
        assert post.tick() == 2
    assert len(receiver.received) == 1
    assert log_of(database, silent_id)[0].error == "no answer within 0.3 s"


def test_what_a_lost_scheduler_took_is_taken_again_and_its_late_word_is_not_heard(
    database: Database, post: Courier, receiver: Receiver
) -> None:
    webhook_id, _ = subscribe(database, receiver.url)
    end_a_job(database)
    with database.session() as session:
        (taken,) = deliveries.claim_due(session, limit=9, lease_seconds=60)
        assert deliveries.claim_due(session, limit=9, lease_seconds=60) == []
    assert post.tick() == 0
    with database.session() as session:
        deliveries.record_outcome(
            session, taken, delivered=False, status_code=None, error="lost", retry_seconds=0
        )
    assert post.tick() == 1
    with database.session() as session:
        deliveries.record_outcome(
            session, taken, delivered=False, status_code=None, error="late", retry_seconds=0
        )
    (delivery,) = log_of(database, webhook_id)
    assert (delivery.attempts, delivery.error, delivery.next_attempt_at) == (2, None, None)


@pytest.mark.parametrize("host", ["x" * 70 + ".example", "..", "a..b", "%00", "xn--", "[::1%25lo]"])
def test_a_name_that_is_none_is_an_outcome(database: Database, post: Courier, host: str) -> None:
    webhook_id, _ = subscribe(database, f"http://{host}/")
    end_a_job(database)
    assert post.tick() == 1
    (delivery,) = log_of(database, webhook_id)
    assert delivery.error
    assert "its log has the cause" not in delivery.error


def test_a_fault_of_ours_is_counted_as_an_attempt_and_holds_up_no_other(
    database: Database, post: Courier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, _ = subscribe(database, receiver.url)
    bad, _ = subscribe(database, f"{receiver.url}/bad")
    end_a_job(database)
    attempt = courier.attempt

    async def failing(pool: AsyncConnectionPool, due: deliveries.Due) -> courier.Outcome:
        if due.url.endswith("/bad"):
            raise RuntimeError("of ours")
        return await attempt(pool, due)

    monkeypatch.setattr(courier, "attempt", failing)
    assert post.tick() == 2
    assert log_of(database, good)[0].delivered_at is not None
    assert "its log has the cause" in (log_of(database, bad)[0].error or "")
    assert post.tick() == 1


def test_the_log_forgets_what_is_long_over_and_nothing_else(
    database: Database, post: Courier, receiver: Receiver
) -> None:
    webhook_id, _ = subscribe(database, receiver.url)
    end_a_job(database)
    post.tick()
    receiver.answers = [500]
    end_a_job(database)
    post.tick()
    with database.session() as session:
        assert deliveries.forget_deliveries(session, older_than_days=30) == 0
        session.execute(update(WebhookDelivery).values(created_at=func.now() - timedelta(days=31)))
        assert deliveries.forget_deliveries(session, older_than_days=30) == 1
    (left,) = log_of(database, webhook_id)
    assert left.status_code == 500


def test_deleting_an_endpoint_ends_what_is_on_its_way(
    database: Database, post: Courier, receiver: Receiver
) -> None:
    webhook_id, _ = subscribe(database, receiver.url)
    end_a_job(database)
    with database.session() as session:
        assert delete_webhook(tenant(session), webhook_id)
        assert not delete_webhook(tenant(session), webhook_id)
    assert post.tick() == 0
