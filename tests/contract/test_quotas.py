"""What a project may have and how often its keys may ask, as the unmodified `openai` client meets it."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
from limits import RateLimitItemPerSecond

from api import rates
from tests.contract.conftest import DATA, Service, serving
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import PROJECTS, Member, as_admin, join, make_project, stream_refusal
from tests.contract.worker import Run


def member_of(service: Service, **quota: int) -> Member:
    return join(service, project_id=make_project(service, **quota))


def set_quota(member: Member, **quota: int | None) -> dict[str, Any]:
    with as_admin(member.service).http() as http:
        answer = http.post(f"{PROJECTS}/{member.project_id}/quota", json=quota)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_jobs_over_the_quota_are_refused_until_one_ends(service: Service) -> None:
    member = member_of(service, max_jobs=2)
    training_file = member.service.upload()
    first = member.service.create_job(training_file=training_file)
    second = member.service.create_job(training_file=training_file)
    Run(service, second)
    before = service.contents()
    body = {"model": "tiny", "training_file": training_file}
    with member.service.http() as http:
        answer = http.post(JOBS, json=body)
        message = check_error(answer, 429, code="quota_exceeded", param=None)
        assert (answer.json()["error"]["type"], answer.headers["x-should-retry"]) == (
            "rate_limit_error",
            "false",
        )
        assert "has 2 jobs queued or running, and may have 2" in message
        assert f"quota set {member.project_id} --jobs N" in message
        assert service.contents() == before
        assert http.get("/v1/quota").json()["usage"]["jobs"] == 2
        http.post(f"{JOBS}/{first}/cancel")
        assert http.post(JOBS, json=body).status_code == 200


def test_other_projects_have_room_of_their_own(service: Service) -> None:
    full, other = member_of(service, max_jobs=1), member_of(service, max_jobs=1)
    full.service.create_job()
    other.service.create_job()


def test_the_openai_client_does_not_retry_a_full_quota(service: Service) -> None:
    member = member_of(service, max_jobs=0)
    training_file = member.service.upload()
    patient = member.service.client.with_options(max_retries=2)
    with pytest.raises(openai.RateLimitError) as refused:
        patient.fine_tuning.jobs.create(model="tiny", training_file=training_file)
    assert refused.value.code == "quota_exceeded"
    assert refused.value.request.headers["x-stainless-retry-count"] == "0"


def test_of_many_jobs_at_once_only_the_last_place_is_given(service: Service) -> None:
    member = member_of(service, max_jobs=3)
    training_file = member.service.upload()
    together = threading.Barrier(8)

    def create(_: int) -> int:
        with member.service.http() as http:
            together.wait()
            return http.post(JOBS, json={"model": "tiny", "training_file": training_file}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [200] * 3 + [429] * 5


def test_bytes_over_the_quota_leave_nothing(service: Service) -> None:
    member = member_of(service, max_bytes=len(DATA) + 100)
    member.service.upload()
    before = service.contents()
    with member.service.http() as http:
        answer = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", DATA)})
    message = check_error(answer, 429, code="quota_exceeded", param=None)
    assert f"stores {len(DATA):,} bytes and may store {len(DATA) + 100:,}" in message
    assert service.contents() == before
    assert set_quota(member, max_bytes=2 * len(DATA))["usage"]["bytes"] == len(DATA)
    member.service.upload()


def test_of_many_uploads_at_once_only_what_fits_is_stored(service: Service) -> None:
    member = member_of(service, max_bytes=2 * len(DATA) + 1)
    before = service.contents()
    together = threading.Barrier(6)

    def upload(_: int) -> int:
        with member.service.http() as http:
            together.wait()
            files = {"file": ("a.jsonl", DATA)}
            return http.post("/v1/files", data={"purpose": "fine-tune"}, files=files).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(upload, range(6))) == [200] * 2 + [429] * 4
    after = service.contents()
    assert (after["files"] - before["files"], after["objects"] - before["objects"]) == (2, 2)


def test_minutes_over_the_quota_refuse_the_next_job(service: Service) -> None:
    member = member_of(service, max_minutes=0)
    training_file = member.service.upload()
    with member.service.http() as http:
        answer = http.post(JOBS, json={"model": "tiny", "training_file": training_file})
    message = check_error(answer, 429, code="quota_exceeded", param=None)
    assert "0.0 minutes this month" in message
    assert "--minutes N" in message


def test_limits_change_one_by_one_and_are_lifted_by_null(service: Service) -> None:
    member = member_of(service, max_jobs=4)
    quota = set_quota(member, max_bytes=10)
    assert (quota["max_jobs"], quota["max_bytes"]) == (4, 10)
    quota = set_quota(member, max_jobs=None)
    assert (quota["max_jobs"], quota["max_bytes"]) == (None, 10)
    with as_admin(service).http() as http:
        for wrong, code in (
            ({"max_jobs": -1}, "invalid_value"),
            ({"max_job": 1}, "unknown_parameter"),
            ({"max_requests_per_minute": 0}, "invalid_value"),
        ):
            answer = http.post(f"{PROJECTS}/{member.project_id}/quota", json=wrong)
            check_error(answer, 400, code=code, param=next(iter(wrong)))


def test_every_answer_says_how_many_requests_are_left(service: Service) -> None:
    member = member_of(service, max_requests_per_minute=4)
    file_id = member.service.upload()
    with member.service.http() as http:
        answers = [
            http.get(f"/v1/files/{file_id}/content"),
            http.get(f"{JOBS}/ftjob-none"),
            http.get(JOBS),
            http.get(JOBS),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 429]
    remaining = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
    assert remaining == ["2", "1", "0", "0"]
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == "4"
        assert 1 <= int(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60
    message = check_error(answers[-1], 429, code="rate_limit_exceeded", param=None)
    wait = answers[-1].headers["retry-after"]
    assert f"wait {wait} s" in message
    assert 50 <= int(wait) <= 60
    assert "x-should-retry" not in answers[-1].headers


def test_each_key_has_a_window_of_its_own_and_its_cookies_share_it(service: Service) -> None:
    member = member_of(service, max_requests_per_minute=1)
    other = join(service, project_id=member.project_id)
    with member.service.http() as http, other.service.http() as other_http:
        assert [http.get(JOBS).status_code for _ in range(2)] == [200, 429]
        assert other_http.get(JOBS).status_code == 200
    with httpx.Client(base_url=service.url) as page:
        page.post("/session", json={"key": member.service.key})
        assert page.get(JOBS).status_code == 429
    assert stream_refusal(member.service, "ftjob-x", close_code=1011)["code"] == "rate_limit_exceeded"


def test_without_a_limit_nothing_is_counted(service: Service) -> None:
    member = join(service)
    with member.service.http() as http:
        answer = http.get(JOBS)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_the_services_own_limit_holds_where_a_project_has_none(service: Service) -> None:
    plain, generous = join(service), member_of(service, max_requests_per_minute=9)
    with serving(service.settings.model_copy(update={"requests_per_minute": 2})) as limited:
        for member, limit in ((plain, "2"), (generous, "9")):
            with replace(limited, key=member.service.key).http() as http:
                assert http.get(JOBS).headers["x-ratelimit-limit-requests"] == limit


def test_the_openai_client_waits_as_long_as_it_is_told_and_gets_through(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "RateLimitItemPerMinute", lambda limit: RateLimitItemPerSecond(limit, 2))
    member = member_of(service, max_requests_per_minute=1)
    client = member.service.client
    client.files.list()
    with pytest.raises(openai.RateLimitError) as refused:
        client.files.list()
    assert refused.value.code == "rate_limit_exceeded"
    wait = int(refused.value.response.headers["retry-after"])
    began = time.monotonic()
    answer = client.with_options(max_retries=2).files.with_raw_response.list()
    assert answer.retries_taken == 1
    assert time.monotonic() - began >= wait - 0.1
    assert 1 <= wait <= 2


def test_the_openai_client_gives_up_after_its_retries(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is a minute long, but says that it is open again after a second."""
    count = rates.RateLimits._count
    monkeypatch.setattr(rates.RateLimits, "_count", lambda *args: replace(count(*args), reset_seconds=1))
    member = member_of(service, max_requests_per_minute=1)
    client = member.service.client.with_options(max_retries=2)
    client.files.list()
    began = time.monotonic()
    with pytest.raises(openai.RateLimitError) as refused:
        client.files.list()
    assert refused.value.request.headers["x-stainless-retry-count"] == "2"
    assert time.monotonic() - began >= 2


def test_without_redis_requests_are_let_through_and_it_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    settings = service.settings.model_copy(
        update={"redis_url": "redis://127.0.0.1:1", "requests_per_minute": 1}
    )
    with serving(settings) as lost, lost.http() as http, caplog.at_level(logging.WARNING):
        answers = [http.get(JOBS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert caplog.text.count("requests are let through without a limit") == 1
