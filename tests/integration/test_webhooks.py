"""The scheduler process delivers what a job's end has written."""

from __future__ import annotations

import openai
import pytest

from store import jobs
from store.webhooks import create_webhook
from tests.factories import tenant
from tests.integration.conftest import DEADLINE_SECONDS, Service, chat_lines
from tests.receiver import receiving


def test_the_scheduler_tells_of_a_cancelled_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_WEBHOOK_PRIVATE", "true")
    job_id = service.submit(chat_lines())
    with receiving() as receiver:
        with service.database.session() as session:
            secret = create_webhook(tenant(session), name="test", url=receiver.url).secret
            assert jobs.request_cancel(tenant(session), job_id) is not None
        with service.process("worker.scheduler"):
            assert receiver.arrived.wait(DEADLINE_SECONDS), service.log()
    (request,) = receiver.received
    event = openai.OpenAI(api_key="none").webhooks.unwrap(request.body, request.headers, secret=secret)
    assert event.type == "fine_tuning.job.cancelled"
    assert event.data.id == job_id
