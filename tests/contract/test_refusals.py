"""Bad input: one error shape, the place by name, nothing half-made."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from api import receiving
from store.log import TextLines
from tests.contract.conftest import DATA, PREFERENCE_DATA, Service
from tests.contract.errors import JOBS, check_error

GOOD_ROW = DATA.splitlines()[0].decode()
PREFERENCE_ROW = PREFERENCE_DATA.splitlines()[0].decode()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("", ["the file is empty"]),
        ("not json", ["line 1: not valid JSON"]),
        (f'{GOOD_ROW}\n{{"messages": []}}', ["line 2, messages: is an empty list"]),
        (
            f'{GOOD_ROW}\n{{"messages": [{{"role": "bot", "content": 3}}]}}\n\n{GOOD_ROW}',
            ["3 problems", "line 2, messages[0].role: is 'bot'", "line 2, messages[0].content", "line 3: "],
        ),
        (
            f"{GOOD_ROW}\n{PREFERENCE_ROW}",
            ["line 2: is a preference row, but a chat row is needed", '"messages"'],
        ),
        (
            f"{PREFERENCE_ROW}\n{GOOD_ROW}",
            ["line 2: is a chat row, but a preference row is needed", '"input"'],
        ),
        ('{"question": "hi"}', ["line 1: is a row of no known format", '"messages"', '"preferred_output"']),
        ('{"prompt": "hi"}', ["line 1, completion: is missing; it must be a text"]),
        (
            json.dumps({**json.loads(PREFERENCE_ROW), "preferred_output": []}),
            ["line 1, preferred_output: is an empty list; it must be a list with exactly one"],
        ),
        ("\n".join(["x"] * 50), ["50 problems", "line 1:", "line 20:", "... and 30 more"]),
    ],
)
def test_a_bad_file_is_refused_by_line(service: Service, rows: str, says: list[str]) -> None:
    before = service.contents()
    with service.http() as http:
        answer = http.post(
            "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("bad.jsonl", rows.encode())}
        )
    message = check_error(answer, 400, code="invalid_dataset", param="file")
    assert [text for text in says if text not in message] == [], message
    assert service.contents() == before


@pytest.mark.parametrize(
    ("fields", "files", "code", "param"),
    [
        ({"purpose": "vision"}, {"file": ("a.jsonl", DATA)}, "invalid_purpose", "purpose"),
        ({}, {"file": ("a.jsonl", DATA)}, "missing_parameter", "purpose"),
        ({"purpose": "fine-tune"}, {"other": ("a.jsonl", DATA)}, "unknown_parameter", "other"),
        ({"purpose": "fine-tune", "file": "text"}, {"file": ("a.jsonl", DATA)}, "repeated_parameter", "file"),
        (
            {"purpose": "fine-tune", "expires_after[seconds]": "3600"},
            {"file": ("a.jsonl", DATA)},
            "invalid_value",
            "expires_after[anchor]",
        ),
        (
            {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            {"file": ("a.jsonl", DATA)},
            "invalid_value",
            "expires_after[seconds]",
        ),
        (
            {"purpose": "fine-tune", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
            {"file": ("a.jsonl", DATA)},
            "invalid_value",
            "expires_after[anchor]",
        ),
        (
            {"purpose": "fine-tune", "expires_after": "3600"},
            {"file": ("a.jsonl", DATA)},
            "unknown_parameter",
            "expires_after",
        ),
    ],
)
def test_a_bad_upload_form_is_refused(
    service: Service, fields: dict[str, str], files: dict[str, Any], code: str, param: str
) -> None:
    before = service.contents()
    with service.http() as http:
        check_error(http.post("/v1/files", data=fields, files=files), 400, code=code, param=param)
        not_a_form = http.post("/v1/files", json={"purpose": "fine-tune"})
        check_error(not_a_form, 415, code="unsupported_media_type", param=None)
        broken = http.post("/v1/files", content=b"x", headers={"Content-Type": "multipart/form-data"})
        check_error(broken, 400, code="invalid_request", param=None)
    assert service.contents() == before


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_over_the_limit_is_refused(service: Service, announced: bool) -> None:
    before = service.contents()
    rows = GOOD_ROW.encode() + b"\n"
    data = rows * (service.settings.max_file_bytes // len(rows) + 1)
    with service.http() as http:
        request = http.build_request(
            "POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("big.jsonl", data)}
        )
        body = request.read() + b" " * 100_000
        headers = {"Content-Type": request.headers["content-type"]}
        if announced:
            answers = [http.send(request), http.post("/v1/files", content=body, headers=headers)]
        else:
            answers = [http.post("/v1/files", content=iter([body[:1000], body[1000:]]), headers=headers)]
    for answer in answers:
        check_error(answer, 413, code="file_too_large", param="file")
    assert service.contents() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "param"),
    [
        ("GET", "/v1/nothing", 404, "not_found", None),
        ("POST", "/v1/nothing", 404, "not_found", None),
        ("PUT", "/v1/files", 405, "method_not_allowed", None),
        ("GET", f"{JOBS}/ftjob-x/cancel", 405, "method_not_allowed", None),
        ("GET", f"{JOBS}/ftjob-x", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/a%00b", 400, "invalid_value", "job_id"),
        ("POST", f"{JOBS}/ftjob-x/cancel", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/ftjob-x/events", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/ftjob-x/metrics", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/ftjob-x/importance", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/ftjob-x/artifacts", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}/ftjob-x/artifacts/a", 404, "job_not_found", "job_id"),
        ("GET", f"{JOBS}?limit=0", 400, "invalid_value", "limit"),
        ("GET", f"{JOBS}?limit=101", 400, "invalid_value", "limit"),
        ("GET", f"{JOBS}?limit=many", 400, "invalid_value", "limit"),
        ("GET", f"{JOBS}?after=ftjob-x", 400, "unknown_cursor", "after"),
        ("GET", f"{JOBS}?metadata[a]=%00", 400, "invalid_value", "metadata"),
        ("GET", "/v1/files?after=file-x", 400, "unknown_cursor", "after"),
        ("GET", "/v1/files?order=up", 400, "invalid_value", "order"),
        ("GET", "/v1/files/file-x", 404, "file_not_found", "file_id"),
        ("GET", "/v1/files/file-x/content", 404, "file_not_found", "file_id"),
        ("DELETE", "/v1/files/file-x", 404, "file_not_found", "file_id"),
        ("PATCH", "/v1/files/file-x", 405, "method_not_allowed", None),
        ("POST", "/v1/uploads/upload-x/cancel", 404, "upload_not_found", "upload_id"),
        ("POST", "/v1/uploads/upload-x/parts", 404, "upload_not_found", "upload_id"),
        ("GET", "/v1/uploads/upload-x/cancel", 405, "method_not_allowed", None),
        ("GET", "/v1/models/nobody", 404, "model_not_found", "model"),
        ("GET", "/v1/models/a%00b", 400, "invalid_value", "model"),
    ],
)
def test_every_refusal_has_the_shape(
    service: Service, method: str, path: str, status: int, code: str, param: str | None
) -> None:
    with service.http() as http:
        check_error(http.request(method, path), status, code=code, param=param)


def test_our_own_failure_tells_no_secret_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(receiving, "receive_file", fail)
    caplog.handler.setFormatter(TextLines("api"))
    before = service.contents()
    with service.http() as http:
        answer = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", DATA)})
    message = check_error(answer, 500, code="internal_error", param=None)
    assert answer.headers["x-request-id"] in message
    assert "secret" not in answer.text
    assert "a secret" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
    assert service.contents() == before


def test_no_route_under_v1_answers_without_the_key(service: Service) -> None:
    with service.http() as http:
        paths = http.get("/openapi.json").json()["paths"]
    routes = [(verb, path) for path, verbs in paths.items() if path.startswith("/v1") for verb in verbs]
    assert len(routes) >= 14
    with httpx.Client(base_url=service.url) as stranger:
        for verb, path in routes:
            answer = stranger.request(verb, re.sub(r"{\w+}", "x", path))
            check_error(answer, 401, code="invalid_api_key", param=None)
            assert answer.headers["www-authenticate"] == "Bearer"
