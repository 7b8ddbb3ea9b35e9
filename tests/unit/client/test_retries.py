"""When the SDK tries again, after how long, and with what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from isthmus.core.effects import Answer
from isthmus.core.request import get, post
from isthmus.core.retries import Retries, retry_after, send
from isthmus.errors import BadRequest, ConnectionFailed, RateLimited, ServerError

from tests.unit.client.script import Script, answer, refusal, retries

REFUSED = ConnectionFailed("connection refused")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    script = Script([refusal(status), answer({"ok": True})])
    assert script.run(send(get("/v1/models"), retries())).status == 200
    assert script.sleeps == [0.5]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415])
def test_what_stays_refused_is_not_tried_again(status: int) -> None:
    script = Script([refusal(status)])
    with pytest.raises(Exception, match="no"):
        script.run(send(get("/v1/models"), retries()))
    assert script.sleeps == []


def test_the_service_has_the_last_word() -> None:
    script = Script([refusal(429, "quota_exceeded", x_should_retry="false")])
    with pytest.raises(RateLimited) as caught:
        script.run(send(get("/v1/models"), retries()))
    assert caught.value.code == "quota_exceeded"
    again = Script([refusal(400, x_should_retry="true"), answer()])
    assert again.run(send(get("/v1/models"), retries())).status == 200


def test_delays_grow_and_end_with_the_last_failure() -> None:
    script = Script([REFUSED, refusal(500), REFUSED, refusal(503, "database_unavailable")])
    with pytest.raises(ServerError) as caught:
        script.run(send(get("/v1/models"), retries(3)))
    assert script.sleeps == [0.5, 1.0, 2.0]
    assert (caught.value.status, caught.value.code) == (503, "database_unavailable")


def test_delays_are_spread_and_bounded() -> None:
    low, high = Retries(99, draw=lambda: 0.0), Retries(99, draw=lambda: 1.0)
    assert [low.backoff(n) for n in (0, 1, 20)] == [0.25, 0.5, 4.0]
    assert [high.backoff(n) for n in (0, 1, 20)] == [0.5, 1.0, 8.0]


def test_retry_after_is_honoured_unless_it_is_too_long() -> None:
    script = Script([refusal(429, retry_after="7"), answer()])
    script.run(send(get("/v1/models"), retries()))
    assert script.sleeps == [pytest.approx(7.05)]
    hopeless = Script([refusal(429, retry_after="3600")])
    with pytest.raises(RateLimited) as caught:
        hopeless.run(send(get("/v1/models"), retries()))
    assert caught.value.retry_after == 3600
    assert hopeless.sleeps == []


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, now) == 30.0
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, now) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_a_post_keeps_its_key_through_all_tries_and_the_next_has_another() -> None:
    keys: list[str] = []
    for _ in range(2):
        script = Script([REFUSED, refusal(500), answer()])
        script.run(send(post("/v1/fine_tuning/jobs", {}), retries()))
        sent = {request.headers["Idempotency-Key"] for request in script.requests}
        assert len(script.requests) == 3
        assert len(sent) == 1
        keys += sent
    assert keys[0] != keys[1]


def test_a_get_has_no_key() -> None:
    script = Script([answer()])
    script.run(send(get("/v1/models"), retries()))
    assert dict(script.requests[0].headers) == {}


def test_without_retries_the_first_failure_is_told() -> None:
    with pytest.raises(ConnectionFailed, match="refused"):
        Script([REFUSED]).run(send(get("/v1/models"), retries(0)))


def test_a_refusal_says_all_that_the_service_said() -> None:
    script = Script([refusal(400, "invalid_value", x_request_id="req-1")])
    with pytest.raises(BadRequest) as caught:
        script.run(send(get("/v1/models"), retries()))
    error = caught.value
    assert (error.status, error.code, error.param, error.request_id, error.message) == (
        400,
        "invalid_value",
        "model",
        "req-1",
        "no",
    )
    assert str(error) == "no (HTTP 400, invalid_value, request req-1)"


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"error": "no"}', b"\xff"])
def test_a_refusal_of_another_shape_is_an_error_all_the_same(body: bytes) -> None:
    script = Script([Answer(502, {}, body)])
    with pytest.raises(ServerError) as caught:
        script.run(send(get("/v1/models"), retries(0)))
    assert caught.value.status == 502
    assert caught.value.message
