"""Bad input: one error shape, the field by name, nothing half-made."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.routes import files
from store.files import create_file
from store.objects import ObjectInfo
from tests.contract.conftest import DATA, Service

JOBS = "/v1/fine_tuning/jobs"
GOOD_ROW = DATA.splitlines()[0].decode()


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


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        ({"model": None}, "invalid_value", "model", "valid string"),
        ({"model": ""}, "invalid_value", "model", "at least 1"),
        ({"model": "tinny"}, "model_not_found", "model", "did you mean 'tiny'"),
        ({"model": "../tiny"}, "model_not_found", "model", "tiny"),
        ({"model": "ft:tiny:isthmus::abc"}, "model_not_found", "model", "base model"),
        ({"training_file": "file-none"}, "file_not_found", "training_file", "no such file"),
        ({"training_file": 7}, "invalid_value", "training_file", "string"),
        ({"validation_file": "file-none"}, "file_not_found", "validation_file", "no such file"),
        ({"adapter": {"rank": 0}}, "invalid_value", "adapter.rank", "greater than or equal to 1"),
        ({"adapter": {"rankk": 4}}, "unknown_parameter", "adapter.rankk", "did you mean 'rank'"),
        ({"adapter": {"alpha": float("inf")}}, "invalid_value", "adapter.alpha", "finite"),
        ({"adapter": {"target_modules": []}}, "invalid_value", "adapter.target_modules", "at least 1"),
        ({"adapter": {"target_modules": ["q", 3]}}, "invalid_value", "adapter.target_modules[1]", "string"),
        ({"ist": {"update_fraction": 0}}, "invalid_value", "ist.update_fraction", "greater than 0"),
        ({"ist": {"probe_intervall": 5}}, "unknown_parameter", "ist.probe_intervall", "'probe_interval'"),
        ({"ist": {"warmup_steps": "some"}}, "invalid_value", "ist.warmup_steps", "'auto'"),
        ({"ist": "on"}, "invalid_value", "ist", "object"),
        ({"learning_rat": 0.1}, "unknown_parameter", "learning_rat", "did you mean 'learning_rate'"),
        ({"zzz": 1}, "unknown_parameter", "zzz", "known keys: adapter, "),
        ({"learning_rate": "fast"}, "invalid_value", "learning_rate", "number"),
        ({"learning_rate": float("nan")}, "invalid_value", "learning_rate", "finite"),
        (
            {"hyperparameters": {"n_epochs": 0}},
            "invalid_value",
            "hyperparameters.n_epochs",
            "'auto', or must be greater than or equal to 1",
        ),
        ({"hyperparameters": {"epochs": 1}}, "unknown_parameter", "hyperparameters.epochs", "'n_epochs'"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 5000}},
            "invalid_value",
            "hyperparameters.learning_rate_multiplier",
            "at most 1000",
        ),
        (
            {"learning_rate": 0.1, "hyperparameters": {"learning_rate_multiplier": 1}},
            "invalid_request",
            "learning_rate",
            "remove one",
        ),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 999}}}},
            "invalid_value",
            "method.supervised.hyperparameters.batch_size",
            "256",
        ),
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {}}}, "hyperparameters": {}},
            "invalid_request",
            "hyperparameters",
            "twice",
        ),
        ({"method": {"type": "dpo"}}, "unsupported_method", "method.type", "supported: supervised"),
        ({"method": {"type": "magic"}}, "invalid_value", "method.type", "'supervised', 'dpo'"),
        ({"method": {"type": "supervised", "dpo": {}}}, "invalid_request", "method.dpo", "remove"),
        (
            {"micro_batch_size": 3, "hyperparameters": {"batch_size": 8}},
            "invalid_value",
            "micro_batch_size",
            "micro_batch_size 3 must divide batch_size 8",
        ),
        ({"seed": -1}, "invalid_value", "seed", "greater than or equal to 0"),
        ({"seed": 2**31}, "invalid_value", "seed", "2147483647"),
        ({"seed": 10**400}, "invalid_value", "seed", "2147483647"),
        ({"suffix": "x" * 65}, "invalid_value", "suffix", "64"),
        ({"suffix": "a b/c"}, "invalid_value", "suffix", "pattern"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "invalid_value", "metadata", "16"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", "metadata." + "k" * 65, "64"),
        ({"metadata": {"k": "v" * 513}}, "invalid_value", "metadata.k", "512"),
        ({"metadata": {"k": 1}}, "invalid_value", "metadata.k", "string"),
        ({"metadata": {"k": "a\0b"}}, "invalid_value", None, "NUL"),
        ({"metadata": {"k": "\ud800"}}, "invalid_value", "metadata.k", "unicode"),
        ({"integrations": [{"type": "wandb"}]}, "unsupported_integration", "integrations", "none are"),
    ],
)  # fmt: skip
def test_a_bad_job_is_refused_by_field(
    service: Service, body: dict[str, Any], code: str, param: str | None, says: str
) -> None:
    whole = {"model": "tiny", "training_file": service.upload(), **body}
    before = service.contents()
    with service.http() as http:
        answer = http.post(JOBS, content=json.dumps(whole), headers={"Content-Type": "application/json"})
    assert says in check_error(answer, 400, code=code, param=param)
    assert service.contents() == before


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code", "param"),
    [
        (b"", "application/json", 400, "missing_body", None),
        (b"{", "application/json", 400, "invalid_json", None),
        (b"[]", "application/json", 400, "invalid_value", None),
        (b'{"model": "\xff"}', "application/json", 400, "invalid_request", None),
        (b"[" * 100_000, "application/json", 400, "invalid_request", None),
        (b"{}", "application/json", 400, "missing_parameter", "model"),
        (b"model=tiny", "application/x-www-form-urlencoded", 415, "unsupported_media_type", None),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "too_large", None),
    ],
)
def test_a_bad_body_is_refused(
    service: Service, content: bytes, content_type: str, status: int, code: str, param: str | None
) -> None:
    with service.http() as http:
        answer = http.post(JOBS, content=content, headers={"Content-Type": content_type})
    check_error(answer, status, code=code, param=param)


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
            "unknown_parameter",
            "expires_after[seconds]",
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
        ("DELETE", "/v1/files/file-x", 405, "method_not_allowed", None),
        ("GET", "/v1/models/nobody", 404, "model_not_found", "model"),
        ("GET", "/v1/models/a%00b", 400, "invalid_value", "model"),
    ],
)
def test_every_refusal_has_the_shape(
    service: Service, method: str, path: str, status: int, code: str, param: str | None
) -> None:
    with service.http() as http:
        check_error(http.request(method, path), status, code=code, param=param)


def test_a_result_file_trains_no_job(service: Service) -> None:
    with service.database.session() as session:
        create_file(
            session,
            file_id="file-result",
            filename="steps.csv",
            purpose="fine-tune-results",
            stored=ObjectInfo("files/file-result", 1, "0"),
        )
    with service.http() as http:
        answer = http.post(JOBS, json={"model": "tiny", "training_file": "file-result"})
    check_error(answer, 400, code="invalid_purpose", param="training_file")


def test_our_own_failure_tells_no_secret_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(files, "create_file", fail)
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
            answer = stranger.request(verb, path.format(file_id="f", job_id="j", model="m", path="p"))
            check_error(answer, 401, code="invalid_api_key", param=None)
            assert answer.headers["www-authenticate"] == "Bearer"
