"""Pause, resume, priority and the queue as the unmodified `openai` client sees them."""

from __future__ import annotations

import openai
import pytest

from store import bus, runs
from tests.contract.conftest import Service
from tests.contract.errors import JOBS, check_error, check_job_refused
from tests.contract.worker import Run


def test_a_queued_job_is_paused_and_resumed(service: Service) -> None:
    jobs = service.client.fine_tuning.jobs
    job_id = service.create_job()
    jobs.pause(job_id)
    paused = jobs.pause(job_id)  # as a client that lost the first answer asks again
    assert (paused.status, (paused.model_extra or {})["state"]) == ("queued", "paused")
    assert (paused.model_extra or {})["queue_position"] is None
    sent = service.redis.llen(service.settings.queue)
    resumed = jobs.resume(job_id)
    assert (resumed.status, (resumed.model_extra or {})["state"]) == ("queued", "queued")
    assert service.redis.llen(service.settings.queue) == sent + 1
    assert jobs.cancel(job_id).status == "cancelled"
    for ask in (jobs.pause, jobs.resume):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(job_id)
        assert (refused.value.code, refused.value.param) == ("job_ended", "job_id")


def test_a_running_job_is_asked_to_pause_and_its_worker_hears_of_it(service: Service) -> None:
    jobs = service.client.fine_tuning.jobs
    job_id = service.create_job()
    run = Run(service, job_id)
    with service.redis.pubsub(ignore_subscribe_messages=True) as control:  # type: ignore[no-untyped-call]  # redis
        control.subscribe(bus.control_channel(job_id))
        control.get_message(timeout=1)
        asked = jobs.pause(job_id)
        message = None
        while message is None:
            message = control.get_message(timeout=5)
    assert message["data"] == bus.PAUSE.encode()
    assert (asked.status, (asked.model_extra or {})["state"]) == ("running", "pausing")
    with service.database.session() as session:
        runs.release(session, job_id, run.attempt, message="stopped")
    assert (jobs.retrieve(job_id).model_extra or {})["state"] == "paused"
    assert jobs.cancel(job_id).status == "cancelled"


def test_a_job_that_is_being_cancelled_cannot_be_paused(service: Service) -> None:
    job_id = service.create_job()
    run = Run(service, job_id)
    service.client.fine_tuning.jobs.cancel(job_id)
    with service.http() as http:
        check_error(http.post(f"{JOBS}/{job_id}/pause"), 400, code="job_cancelling", param="job_id")
    run.cancelled()


def test_the_queue_is_ordered_by_priority(service: Service) -> None:
    normal, high, number = (
        service.create_job(**body) for body in ({}, {"priority": "high"}, {"priority": 5})
    )
    with service.http() as http:
        shown = {job["id"]: job for job in http.get(JOBS).json()["data"]}
    assert [shown[job_id]["priority"] for job_id in (normal, high, number)] == ["normal", "high", 5]
    places = [shown[job_id]["queue_position"] for job_id in (high, number, normal)]
    assert places == sorted(places)
    assert places[0] == 1
    assert isinstance(shown[high]["estimated_start"], int)
    check_job_refused(service, {"priority": 101}, code="invalid_value", param="priority")
