"""Webhooks over HTTP: the unmodified client's own methods, secrets shown once, refusals, the log."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from store.webhooks import MAX_WEBHOOKS, new_secret
from tests.contract.conftest import Service, serving
from tests.contract.errors import check_error, check_job_refused
from tests.contract.tenants import join
from tests.contract.worker import Run
from tests.receiver import receiving
from worker.courier import Courier

WEBHOOKS = "/v1/webhooks"
URL = "https://example.com/hook"


def test_the_client_makes_lists_and_deletes_them(service: Service) -> None:
    own = join(service).service
    made = own.client.webhooks.create(
        name="ends", url=URL, event_types=["fine_tuning.job.succeeded", "fine_tuning.job.failed"]
    )
    assert made.signing_secret.startswith("whsec_")
    assert (made.object, made.name, made.url) == ("webhook_endpoint", "ends", URL)
    newest = own.client.webhooks.create(name="more", url=URL, event_types=["fine_tuning.job.cancelled"])
    assert [hook.id for hook in own.client.webhooks.list(limit=1)] == [newest.id, made.id]
    found = own.client.webhooks.retrieve(made.id)
    assert found.event_types == ["fine_tuning.job.succeeded", "fine_tuning.job.failed"]
    assert made.signing_secret not in found.to_json()
    assert own.client.webhooks.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError) as refused:
        own.client.webhooks.delete(made.id)
    assert (refused.value.code, refused.value.param) == ("webhook_not_found", "webhook_id")


def test_a_secret_is_shown_once(service: Service) -> None:
    with join(service).service.http() as http:
        made = http.post(WEBHOOKS, json={"url": URL}).json()
        later = [http.get(WEBHOOKS).text, http.get(f"{WEBHOOKS}/{made['id']}").text]
    assert len(made["event_types"]) == 3
    assert not any(made["signing_secret"] in text for text in later)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "url", "missing_parameter"),
        ({"url": "http://example.com/"}, "url", "invalid_url"),
        ({"url": "https://127.0.0.1/"}, "url", "invalid_url"),
        ({"url": "https://169.254.169.254/latest"}, "url", "invalid_url"),
        ({"url": URL, "event_types": []}, "event_types", "invalid_value"),
        ({"url": URL, "event_types": ["batch.completed"]}, "event_types[0]", "invalid_value"),
        ({"url": URL, "name": "a\0b"}, "name", "invalid_value"),
        ({"url": URL, "secret": "mine"}, "secret", "unknown_parameter"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(
    service: Service, body: dict[str, Any], param: str, code: str
) -> None:
    before = service.contents()
    with service.http() as http:
        check_error(http.post(WEBHOOKS, json=body), 400, code=code, param=param)
    assert service.contents() == before


def test_a_project_has_so_many_and_no_more(service: Service) -> None:
    with join(service).service.http() as http:
        for _ in range(MAX_WEBHOOKS):
            assert http.post(WEBHOOKS, json={"url": URL}).status_code == 200
        check_error(http.post(WEBHOOKS, json={"url": URL}), 400, code="too_many_webhooks", param=None)


@pytest.mark.parametrize(
    ("webhook", "param"),
    [
        ({"url": "https://10.0.0.1/", "secret": new_secret()}, "webhook.url"),
        ({"url": URL, "secret": "whsec_c2hvcnQ="}, "webhook.secret"),
        ({"url": URL, "secret": "a-password"}, "webhook.secret"),
    ],
)
def test_a_jobs_webhook_that_cannot_be_refuses_the_job(
    service: Service, webhook: dict[str, str], param: str
) -> None:
    code = "invalid_url" if param.endswith("url") else "invalid_value"
    check_job_refused(service, {"webhook": webhook}, code=code, param=param)


def test_a_job_brings_a_webhook_of_its_own_and_the_log_tells_of_it(service: Service) -> None:
    secret = new_secret()
    allowed = service.settings.model_copy(update={"webhook_private": True})
    with receiving() as receiver, serving(allowed) as open_service:
        own = join(open_service).service
        job_id = own.create_job(webhook={"url": receiver.url, "secret": secret})
        other = own.create_job()
        for ended in (other, job_id):
            Run(service, ended).succeed()
        receiver.answers = [503]
        post = Courier(allowed, service.database, pause=lambda _: 0.0)
        while post.tick():
            pass
        with own.http() as http:
            job = http.get(f"/v1/fine_tuning/jobs/{job_id}").text
            (hook,) = http.get(WEBHOOKS).json()["data"]
            (sent,) = http.get(f"{WEBHOOKS}/{hook['id']}/deliveries").json()["data"]
    assert secret not in job + json.dumps(hook)
    assert (hook["job_id"], hook["url"]) == (job_id, receiver.url)
    first, second = receiver.received
    event = openai.OpenAI(api_key="none").webhooks.unwrap(second.body, second.headers, secret=secret)
    assert (event.type, json.loads(second.body)["data"]) == ("fine_tuning.job.succeeded", {"id": job_id})
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == sent["id"]
    assert (sent["status"], sent["attempts"], sent["status_code"]) == ("delivered", 2, 200)
    with service.database.session() as session:
        stored = session.connection().exec_driver_sql(
            "SELECT request::text FROM jobs WHERE id = %s", (job_id,)
        )
        assert secret not in str(stored.scalar())


def test_it_needs_the_scope_write(service: Service) -> None:
    with join(service, "read").service.http() as http:
        check_error(http.post(WEBHOOKS, json={"url": URL}), 403, code="insufficient_scope", param=None)
        assert http.get(WEBHOOKS).status_code == httpx.codes.OK
