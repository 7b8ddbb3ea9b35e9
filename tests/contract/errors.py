"""How a refusal is checked: its shape, and that it left nothing behind."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.contract.conftest import Service

JOBS = "/v1/fine_tuning/jobs"


def check_error(answer: httpx.Response, status: int, *, code: str, param: str | None) -> str:
    """Check an answer's shape; returns its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    message = body["error"]["message"]
    assert isinstance(message, str)
    assert message
    return message


def check_job_refused(service: Service, body: dict[str, Any], *, code: str, param: str | None) -> str:
    """Check that a job's body is refused with 400; returns the message."""
    whole = {"model": "tiny", "training_file": service.upload(), **body}
    before = service.contents()
    with service.http() as http:
        answer = http.post(JOBS, content=json.dumps(whole), headers={"Content-Type": "application/json"})
    message = check_error(answer, 400, code=code, param=param)
    assert service.contents() == before
    return message
