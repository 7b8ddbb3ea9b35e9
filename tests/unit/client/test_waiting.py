"""Waiting for a job's end."""

from __future__ import annotations

from typing import Any

import pytest
from isthmus.core.effects import Answer
from isthmus.core.request import get
from isthmus.core.waiting import check_success, until_ended
from isthmus.errors import ConnectionFailed, JobUnsuccessful, NotFound, WaitTimedOut
from isthmus.types.jobs import JobFields

from tests.unit.client.script import Script, answer, refusal, retries

AWAY = ConnectionFailed("refused")


def job(status: str, **fields: Any) -> Answer:
    return answer(
        {"id": "ftjob-1", "created_at": 1, "model": "tiny", "training_file": "file-1", "status": status}
        | fields
    )


def _wait(script: Script, *, timeout: float | None = None, most: int = 0) -> JobFields:
    operation = until_ended(
        get("/v1/fine_tuning/jobs/ftjob-1"), JobFields, retries(most), None, timeout=timeout, poll_interval=5
    )
    return script.run(operation)


def test_it_asks_until_the_end_and_less_and_less_often() -> None:
    script = Script([*[job("running")] * 10, job("succeeded")])
    assert _wait(script).ended
    assert script.sleeps == sorted(script.sleeps)
    assert (script.sleeps[0], script.sleeps[-1]) == (0.5, 5)


def test_a_restart_is_waited_out() -> None:
    script = Script([job("running"), AWAY, refusal(503), AWAY, job("failed")])
    assert _wait(script).status == "failed"


def test_a_service_that_stays_away_is_told() -> None:
    script = Script([job("running"), *[AWAY] * 100])
    with pytest.raises(ConnectionFailed):
        _wait(script)
    assert 300 < script.clock < 310


def test_the_time_ends_with_the_job_going_on() -> None:
    script = Script([job("running")] * 100)
    with pytest.raises(WaitTimedOut) as caught:
        _wait(script, timeout=12)
    assert isinstance(caught.value, TimeoutError)
    assert 5 < script.clock <= 12


def test_a_refusal_ends_the_wait() -> None:
    with pytest.raises(NotFound):
        _wait(Script([refusal(404)]))


def test_a_failure_says_why() -> None:
    failed = job("failed", state="failed", error={"code": "out_of_memory", "message": "no memory"})
    with pytest.raises(JobUnsuccessful, match="no memory") as caught:
        check_success(_wait(Script([failed])))
    assert (caught.value.job_id, caught.value.state, caught.value.code) == (
        "ftjob-1",
        "failed",
        "out_of_memory",
    )
    check_success(_wait(Script([job("succeeded")])))
