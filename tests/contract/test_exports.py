"""Exports of models: asked for once, downloaded in ranges, cancelled and deleted, and never shown a token."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from store.export_runs import finish_failed, finish_pushed
from store.objects import LocalObjects
from tests.contract.conftest import Service, serving
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import join
from tests.contract.worker import Run
from tests.exports import MANIFEST, finished, read_export, taken_until

WEIGHTS = bytes(range(256)) * 20
FILES = {"config.json": b"{}", "manifest.json": b"{}", "model.safetensors": WEIGHTS}
PUSH = {"type": "hub", "repo_id": "team/tickets", "token": "hf_secret"}


@pytest.fixture
def own(service: Service) -> Service:
    """A project of the test's own."""
    return join(service).service


@pytest.fixture
def exports(own: Service) -> str:
    """The address of the exports of a model that the project has made."""
    return f"/v1/models/{Run(own, own.create_job()).succeed()}/exports"


@pytest.fixture
def http(own: Service) -> Iterator[httpx.Client]:
    with own.http() as client:
        yield client


def objects_of(service: Service) -> LocalObjects:
    return LocalObjects(service.settings.objects_dir)


def make(service: Service, http: httpx.Client, exports: str, format_: str = "merged") -> dict[str, Any]:
    """An export that has succeeded."""
    made = http.post(exports, json={"format": format_})
    assert made.status_code == 200, made.text
    held = taken_until(service.database, made.json()["id"])
    assert finished(service.database, objects_of(service), held, FILES) is not None
    export: dict[str, Any] = http.get(f"{exports}/{held.export_id}").json()
    return export


def test_it_is_asked_for_once_and_found_again(own: Service, http: httpx.Client, exports: str) -> None:
    before = own.redis.llen(own.settings.queue)
    first = http.post(exports, json={"format": "gguf_q8_0"}).json()
    assert (first["object"], first["status"], first["destination"]) == ("model.export", "queued", None)
    assert (first["files"], first["bytes"], first["manifest"], first["error"]) == ([], 0, None, None)
    assert http.post(exports, json={"format": "gguf_q8_0"}).json() == first
    assert own.redis.llen(own.settings.queue) == before + 1, "one wake-up"
    held = taken_until(own.database, first["id"])
    assert finished(own.database, objects_of(own), held, FILES) is not None
    ready = http.post(exports, json={"format": "gguf_q8_0"}).json()
    assert (ready["id"], ready["status"], ready["manifest"]) == (first["id"], "succeeded", MANIFEST)
    assert {file["path"]: file["sha256"] for file in ready["files"]} == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }
    listed = http.get(exports).json()
    assert (listed["data"], listed["has_more"]) == ([ready], False)


def test_the_archive_and_each_file_can_be_fetched_in_parts(
    own: Service, http: httpx.Client, exports: str
) -> None:
    export = make(own, http, exports)
    path = f"{exports}/{export['id']}"
    whole = http.get(f"{path}/content")
    assert whole.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as archive:
        folder = f"{export['model']}-merged".replace(":", "-")
        names = {f"{folder}/{name}" for name in [*FILES, "SHA256SUMS"]}
        assert set(archive.getnames()) == names
        weights = archive.extractfile(f"{folder}/model.safetensors")
        assert weights is not None
        assert weights.read() == WEIGHTS
    etag = whole.headers["etag"]
    rest = http.get(f"{path}/content", headers={"Range": "bytes=700-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[700:])
    one = http.get(f"{path}/files/model.safetensors", headers={"Range": "bytes=5-9"})
    assert (one.status_code, one.content) == (206, WEIGHTS[5:10])
    assert one.headers["etag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    missing = http.get(f"{path}/files/..%2Fconfig.json")
    check_error(missing, 404, code="file_not_found", param="name")


def test_what_is_not_ready_cannot_be_downloaded(own: Service, http: httpx.Client, exports: str) -> None:
    export = http.post(exports, json={"format": "merged"}).json()
    addresses = [f"{exports}/{export['id']}/{path}" for path in ("content", "files/config.json")]
    for address in addresses:
        told = check_error(http.get(address), 400, code="export_not_ready", param="export_id")
        assert "is queued" in told
    held = taken_until(own.database, export["id"])
    with own.database.session() as session:
        assert finish_failed(
            session, held.export_id, held.attempt, code="export_check_failed", message="It is wrong"
        )
    failed = http.get(f"{exports}/{export['id']}").json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "export_check_failed")
    for address in addresses:
        told = check_error(http.get(address), 400, code="export_failed", param="export_id")
        assert "It is wrong" in told
    again = http.post(exports, json={"format": "merged"}).json()
    assert (again["status"], again["id"] == export["id"]) == ("queued", False)


def test_a_queued_one_is_cancelled_at_once_and_a_running_one_by_its_worker(
    own: Service, http: httpx.Client, exports: str
) -> None:
    queued = http.post(exports, json={"format": "merged"}).json()["id"]
    assert http.post(f"{exports}/{queued}/cancel").json()["status"] == "cancelled"
    again = http.post(f"{exports}/{queued}/cancel")
    check_error(again, 400, code="export_ended", param="export_id")
    gone = http.get(f"{exports}/{queued}/content")
    check_error(gone, 400, code="export_cancelled", param="export_id")
    running = http.post(exports, json={"format": "merged"}).json()["id"]
    taken_until(own.database, running)
    with own.redis.pubsub(ignore_subscribe_messages=True) as ears:  # type: ignore[no-untyped-call]
        ears.subscribe(f"isthmus:control:{running}")
        ears.get_message(timeout=5)
        assert http.post(f"{exports}/{running}/cancel").json()["status"] == "cancelling"
        assert ears.get_message(timeout=5)["data"] == b"cancel"
    # What is asked for now does not wait for the end of that one.
    assert http.post(exports, json={"format": "merged"}).json()["id"] != running


def test_a_deleted_one_is_gone_with_its_bytes(own: Service, http: httpx.Client, exports: str) -> None:
    before = http.get("/v1/quota").json()["usage"]["bytes"]
    export = make(own, http, exports)
    assert http.get("/v1/quota").json()["usage"]["bytes"] == before + export["bytes"]
    prefix = f"exports/{export['id']}/"
    assert len(list(objects_of(own).list(prefix))) == len(FILES)
    gone = http.delete(f"{exports}/{export['id']}").json()
    assert gone == {"id": export["id"], "object": "model.export", "deleted": True}
    assert list(objects_of(own).list(prefix)) == []
    assert http.get("/v1/quota").json()["usage"]["bytes"] == before
    for address in ("", "/content", "/files/config.json"):
        answer = http.get(f"{exports}/{export['id']}{address}")
        check_error(answer, 404, code="export_not_found", param="export_id")


def test_a_model_that_is_deleted_takes_its_exports_along(
    own: Service, http: httpx.Client, exports: str
) -> None:
    ready = make(own, http, exports)
    running = http.post(exports, json={"format": "gguf_f16"}).json()["id"]
    taken_until(own.database, running)
    assert http.delete(exports.removesuffix("/exports")).json()["deleted"] is True
    assert list(objects_of(own).list(f"exports/{ready['id']}/")) == []
    assert read_export(own.database, running).cancel_requested
    check_error(http.get(exports), 404, code="model_not_found", param="model")
    check_error(http.post(exports, json={"format": "merged"}), 404, code="model_not_found", param="model")


def test_a_checkpoint_can_be_exported_until_it_is_deleted(own: Service, http: httpx.Client) -> None:
    run = Run(own, own.create_job())
    run.checkpoint(4)
    (checkpoint,) = http.get(f"{JOBS}/{run.job_id}/checkpoints").json()["data"]
    exports = f"/v1/models/{checkpoint['fine_tuned_model_checkpoint']}/exports"
    export = make(own, http, exports)
    assert (export["model"], export["job_id"]) == (checkpoint["fine_tuned_model_checkpoint"], run.job_id)
    run.fail()
    assert http.delete(f"{JOBS}/{run.job_id}/checkpoints/{checkpoint['id']}").status_code == 200
    assert list(objects_of(own).list(f"exports/{export['id']}/")) == []
    check_error(http.get(exports), 404, code="model_not_found", param="model")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_parameter", "format"),
        ({"format": "onnx"}, "invalid_value", "format"),
        ({"format": "adapter"}, "adapter_is_there", "format"),
        ({"format": "merged", "destination": {**PUSH, "type": "ftp"}}, "invalid_value", "destination.type"),
        (
            {"format": "merged", "destination": {**PUSH, "repo_id": "../x"}},
            "invalid_value",
            "destination.repo_id",
        ),
        (
            {"format": "merged", "destination": {**PUSH, "token": "hf_secret\r\nx: y"}},
            "invalid_value",
            "destination.token",
        ),
        ({"format": "merged", "destination": PUSH}, "hub_disabled", "destination"),
    ],
)
def test_a_bad_request_is_refused_and_makes_nothing(
    own: Service, http: httpx.Client, exports: str, body: dict[str, Any], code: str, param: str
) -> None:
    before = own.contents()
    message = check_error(http.post(exports, json=body), 400, code=code, param=param)
    assert "hf_secret" not in message
    assert own.contents() == before


def test_a_base_model_is_not_exported_and_a_running_jobs_model_is_not_there(
    own: Service, http: httpx.Client
) -> None:
    body = {"format": "merged"}
    check_error(http.post("/v1/models/tiny/exports", json=body), 400, code="base_model", param="model")
    running = http.post("/v1/models/ft:tiny:isthmus::12345678/exports", json=body)
    check_error(running, 404, code="model_not_found", param="model")


def test_a_full_project_is_refused(service: Service) -> None:
    member = join(service)
    exports = f"/v1/models/{Run(service, member.service.create_job()).succeed()}/exports"
    with member.service.http() as http:
        quota = f"/v1/organization/projects/{member.project_id}/quota"
        assert http.post(quota, json={"max_bytes": 1}).status_code == 200
        answer = http.post(exports, json={"format": "merged"})
    message = check_error(answer, 429, code="quota_exceeded", param=None)
    assert "Delete an export" in message


def test_a_push_shows_where_it_went_and_never_its_token(own: Service, exports: str) -> None:
    with (
        serving(own.settings.model_copy(update={"hub": True})) as with_hub,
        httpx.Client(base_url=with_hub.url, headers={"Authorization": f"Bearer {own.key}"}) as http,
    ):
        body = {"format": "adapter", "destination": PUSH}
        keyed = {"Idempotency-Key": "push-1"}
        first = http.post(exports, json=body, headers=keyed)
        again = http.post(exports, json=body, headers=keyed)
        assert again.headers["idempotent-replayed"] == "true"
        assert first.json()["destination"] == {
            "type": "hub",
            "repo_id": "team/tickets",
            "private": True,
            "url": None,
        }
        held = taken_until(own.database, first.json()["id"])
        with own.database.session() as session:
            url = "https://hub.test/team/tickets/commit/1"
            assert finish_pushed(session, held.export_id, held.attempt, url=url, manifest=None)
        export = http.get(f"{exports}/{held.export_id}")
        listed = http.get(exports)
        refused = http.get(f"{exports}/{held.export_id}/content")
    assert (export.json()["status"], export.json()["destination"]["url"]) == ("succeeded", url)
    assert url in check_error(refused, 400, code="export_pushed", param="export_id")
    assert not any("hf_secret" in answer.text for answer in (first, again, export, listed, refused))


def test_what_lies_below_a_model_is_no_models_name(own: Service, http: httpx.Client, exports: str) -> None:
    answer = http.get(f"{exports}/export-none/cancel")
    check_error(answer, 405, code="method_not_allowed", param=None)
    assert answer.headers["allow"] == "POST"
