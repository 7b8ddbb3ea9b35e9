"""Projects are apart: every route, asked with another project's key, answers as if nothing were there."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

import api.routes
from api.openapi import document
from store import runs
from store.objects import LocalObjects
from store.workers import Device, beat, leave
from tests.contract.conftest import DATA, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.samples import sample
from tests.contract.tenants import PROJECTS, Member, join, stream_refusal
from tests.contract.worker import Run
from tests.exports import finished, taken

PLAN = "/v1/fine_tuning/plan"
ROUTES = sorted(f"{verb.upper()} {path}" for path, verbs in document()["paths"].items() for verb in verbs)
OF_PROJECTS = [route for route in ROUTES if " /v1/" in route and PROJECTS not in route]
OF_ADMINS = [route for route in ROUTES if PROJECTS in route]
OPEN = {
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /session",
    "POST /session",
    "DELETE /session",
}


@dataclass(frozen=True)
class Victim:
    """A project that has one of everything."""

    member: Member
    ids: dict[str, str]
    """By the names of path parameters."""


@pytest.fixture(scope="module")
def victim(service: Service) -> Victim:
    member = join(service)
    file_id = member.service.upload()
    job_id = member.service.create_job(training_file=file_id, metadata={"secret": "yes"})
    run = Run(service, job_id)
    run.steps(1, 3)
    run.checkpoint(3)
    ids = {"file_id": file_id, "job_id": job_id, "path": "report.json"}
    with member.service.http() as http:
        (checkpoint,) = http.get(f"{JOBS}/{job_id}/checkpoints").json()["data"]
        ids["checkpoint_id"] = checkpoint["id"]
        ids["webhook_id"] = http.post("/v1/webhooks", json={"url": "https://example.com/"}).json()["id"]
        ids["model"] = run.succeed(samples=[sample(1)])
        exports = f"/v1/models/{ids['model']}/exports"
        ids["export_id"] = http.post(exports, json={"format": "merged"}).json()["id"]
        ids["name"] = "model.safetensors"
        (delivery,) = http.get(f"/v1/webhooks/{ids['webhook_id']}/deliveries").json()["data"]
        ids["delivery_id"] = delivery["id"]
    objects = LocalObjects(service.settings.objects_dir)
    assert finished(service.database, objects, taken(service.database), {ids["name"]: b"weights"})
    return Victim(member, ids)


@pytest.fixture(scope="module", params=[("read", "write"), ("read", "write", "admin")], ids=", ".join)
def stranger(service: Service, request: pytest.FixtureRequest) -> Member:
    """A key of another project; that it is an admin's makes no difference."""
    return join(service, *request.param)


def lists_nothing(victim: Victim, stranger: Member, path: str) -> None:
    with victim.member.service.http() as own:
        assert own.get(path).json()["data"]
    with stranger.service.http() as http:
        assert [item["id"] for item in http.get(path).json()["data"]] == []


def has_no_cursor(victim: Victim, stranger: Member, path: str, cursor: str) -> None:
    lists_nothing(victim, stranger, path)
    with victim.member.service.http() as own:
        assert own.get(path, params={"after": cursor}).status_code == 200
    with stranger.service.http() as http:
        check_error(http.get(path, params={"after": cursor}), 400, code="unknown_cursor", param="after")


def check_files(victim: Victim, stranger: Member) -> None:
    has_no_cursor(victim, stranger, "/v1/files", victim.ids["file_id"])


def check_jobs(victim: Victim, stranger: Member) -> None:
    has_no_cursor(victim, stranger, JOBS, victim.ids["job_id"])
    lists_nothing(victim, stranger, f"{JOBS}?metadata[secret]=yes")


def check_models(victim: Victim, stranger: Member) -> None:
    with victim.member.service.http() as own, stranger.service.http() as http:
        listed = [{model["id"] for model in who.get("/v1/models").json()["data"]} for who in (own, http)]
    assert listed[0] - listed[1] == {victim.ids["model"]}
    assert "tiny" in listed[1]


def check_upload(victim: Victim, stranger: Member) -> None:
    file_id = stranger.service.upload(DATA + b"\n")
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(own.get(f"/v1/files/{file_id}"), 404, code="file_not_found", param="file_id")
        assert http.get(f"/v1/files/{file_id}").status_code == 200
    with stranger.service.database.session() as session:
        session.connection().exec_driver_sql("DELETE FROM files WHERE id = %s", (file_id,))


def check_create(victim: Victim, stranger: Member) -> None:
    own_file = stranger.service.upload()
    theirs = victim.ids["file_id"]
    with stranger.service.http() as http:
        for place, files in (
            ("training_file", {"training_file": theirs}),
            ("validation_file", {"training_file": own_file, "validation_file": theirs}),
        ):
            answer = http.post(JOBS, json={"model": "tiny", **files})
            message = check_error(answer, 400, code="file_not_found", param=place)
            nothing = http.post(JOBS, json={"model": "tiny", **files, place: "file-none"})
            assert message == nothing.json()["error"]["message"].replace("file-none", theirs)
        tuned = http.post(JOBS, json={"model": victim.ids["model"], "training_file": own_file})
        check_error(tuned, 400, code="model_not_found", param="model")
    with stranger.service.database.session() as session:
        session.connection().exec_driver_sql("DELETE FROM files WHERE id = %s", (own_file,))


def check_plan(victim: Victim, stranger: Member) -> None:
    with victim.member.service.http() as own, stranger.service.http() as http:
        for identifier in (victim.ids["file_id"], "file-none"):
            answer = http.post(PLAN, json={"model": "tiny", "training_file": identifier})
            message = check_error(answer, 400, code="file_not_found", param="training_file")
            assert (
                message
                == f"training_file: no such file: {identifier}; upload it first with purpose fine-tune"
            )
        answer = own.post(PLAN, json={"model": "tiny", "training_file": victim.ids["file_id"]})
        check_error(answer, 400, code="plan_unavailable", param="model")  # no more than the model is at fault


def check_webhooks(victim: Victim, stranger: Member) -> None:
    has_no_cursor(victim, stranger, "/v1/webhooks", victim.ids["webhook_id"])


def check_new_webhook(victim: Victim, stranger: Member) -> None:
    with victim.member.service.http() as own, stranger.service.http() as http:
        made = http.post("/v1/webhooks", json={"url": "https://example.com/"}).json()
        check_error(own.get(f"/v1/webhooks/{made['id']}"), 404, code="webhook_not_found", param="webhook_id")
        assert http.delete(f"/v1/webhooks/{made['id']}").json()["deleted"] is True


def check_workers(victim: Victim, stranger: Member) -> None:
    """All see the workers; which job one has, its project alone."""
    job_id = victim.member.service.create_job()
    service = victim.member.service
    device = Device("cpu", "test", 2, 1)
    with service.database.session() as session:
        beat(session, host="here", pid=7, device=device, stopping=False, first=True)
        claim = runs.claim(session, job_id, worker="here:7", lease_seconds=60)
    assert claim is not None
    with service.http() as own, stranger.service.http() as http:
        path = "/v1/fine_tuning/workers"
        mine, theirs = (who.get(path).json()["data"][0] for who in (own, http))
    assert mine == {**theirs, "job_id": job_id, "attempt": 1}
    assert (theirs["state"], theirs["job_id"], theirs["attempt"]) == ("busy", None, None)
    with service.database.session() as session:
        leave(session, host="here", pid=7)
        assert runs.finish_cancelled(session, job_id, claim.attempt) is not None


def check_event_types(victim: Victim, stranger: Member) -> None:
    with victim.member.service.http() as own, stranger.service.http() as http:
        address = "/v1/webhook_event_types"
        assert http.get(address).json() == own.get(address).json()


def check_webhook_changes(victim: Victim, stranger: Member) -> None:
    address = f"/v1/webhooks/{victim.ids['webhook_id']}"
    event = {"event_type": "fine_tuning.job.failed"}
    with victim.member.service.http() as own, stranger.service.http() as http:
        before = own.get(address).json()
        for path, body in (("", {"enabled": False}), ("/rotate_secret", {}), ("/test", event)):
            answer = http.post(address + path, json=body)
            check_error(answer, 404, code="webhook_not_found", param="webhook_id")
        assert own.get(address).json() == before


def check_webhook_delete(victim: Victim, stranger: Member) -> None:
    address = f"/v1/webhooks/{victim.ids['webhook_id']}"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.delete(address), 404, code="webhook_not_found", param="webhook_id")
        assert own.get(address).status_code == 200


def check_model_delete(victim: Victim, stranger: Member) -> None:
    address = f"/v1/models/{victim.ids['model']}"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.delete(address), 404, code="model_not_found", param="model")
        assert own.get(f"{address}/archive").status_code == 200


def check_new_export(victim: Victim, stranger: Member) -> None:
    exports = f"/v1/models/{victim.ids['model']}/exports"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(
            http.post(exports, json={"format": "gguf_f16"}), 404, code="model_not_found", param="model"
        )
        assert len(own.get(exports).json()["data"]) == 1


def check_export_delete(victim: Victim, stranger: Member) -> None:
    address = f"/v1/models/{victim.ids['model']}/exports/{victim.ids['export_id']}"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.delete(address), 404, code="model_not_found", param="model")
        assert own.get(f"{address}/content").status_code == 200


def check_checkpoint_delete(victim: Victim, stranger: Member) -> None:
    job = f"{JOBS}/{victim.ids['job_id']}/checkpoints"
    address = f"{job}/{victim.ids['checkpoint_id']}"
    foreign = f"{JOBS}/{stranger.service.create_job()}/checkpoints/{victim.ids['checkpoint_id']}"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.delete(address), 404, code="job_not_found", param="job_id")
        check_error(http.delete(foreign), 404, code="checkpoint_not_found", param="checkpoint_id")
        assert own.get(f"{address}/archive").status_code == 200
    with stranger.service.database.session() as session:
        project = (stranger.project_id,)
        session.connection().exec_driver_sql("DELETE FROM jobs WHERE project_id = %s", project)
        session.connection().exec_driver_sql("DELETE FROM files WHERE project_id = %s", project)


def check_quota(victim: Victim, stranger: Member) -> None:
    with victim.member.service.http() as own, stranger.service.http() as http:
        assert own.get("/v1/quota").json()["usage"]["bytes"] > len(DATA)
        quota = http.get("/v1/quota").json()
    assert (quota["project_id"], quota["usage"]["bytes"]) == (stranger.project_id, 0)


def check_delete(victim: Victim, stranger: Member) -> None:
    file_id = victim.member.service.upload(DATA + b"\n")
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.delete(f"/v1/files/{file_id}"), 404, code="file_not_found", param="file_id")
        assert own.delete(f"/v1/files/{file_id}").status_code == 200


def check_tokens(victim: Victim, stranger: Member) -> None:
    path = f"/v1/files/{victim.ids['file_id']}/tokens?model=tiny"
    with victim.member.service.http() as own, stranger.service.http() as http:
        check_error(http.get(path), 404, code="file_not_found", param="file_id")
        check_error(own.get(path), 400, code="tokenizer_unavailable", param="model")


def check_uploads(victim: Victim, stranger: Member) -> None:
    body = {"bytes": 2, "filename": "a.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    part: dict[str, Any] = {"files": {"data": ("a", b"{}")}}
    with victim.member.service.http() as own, stranger.service.http() as http:
        uploads = [who.post("/v1/uploads", json=body).json()["id"] for who in (own, http)]
        parts = [
            who.post(f"/v1/uploads/{upload_id}/parts", **part).json()["id"]
            for who, upload_id in zip((own, http), uploads, strict=True)
        ]
        for path, sent in (("parts", part), ("complete", {"json": {"part_ids": parts[:1]}}), ("cancel", {})):
            answer = http.post(f"/v1/uploads/{uploads[0]}/{path}", **sent)
            check_error(answer, 404, code="upload_not_found", param="upload_id")
        stolen = http.post(f"/v1/uploads/{uploads[1]}/complete", json={"part_ids": parts[:1]})
        check_error(stolen, 400, code="part_not_found", param="part_ids")
        for who, upload_id in zip((own, http), uploads, strict=True):
            assert who.post(f"/v1/uploads/{upload_id}/cancel").json()["status"] == "cancelled"


def check_chat(victim: Victim, stranger: Member) -> None:
    """Its own project gets as far as the queue, which no inference process serves here."""
    messages = [{"role": "user", "content": "Hello"}]
    checkpoint = f"ft:tiny:isthmus::{victim.ids['job_id'][-8:].lower()}:ckpt-step-3"
    for model in (victim.ids["model"], checkpoint):
        body = {"model": model, "messages": messages}
        with victim.member.service.http() as own, stranger.service.http() as http:
            mine, theirs = (who.post("/v1/chat/completions", json=body) for who in (own, http))
        check_error(mine, 503, code="inference_unavailable", param=None)
        message = check_error(theirs, 404, code="model_not_found", param="model")
        assert message == f"No such model: {model}"


CASES: dict[str, Callable[[Victim, Member], None]] = {
    "GET /v1/files": check_files,
    "POST /v1/files": check_upload,
    "DELETE /v1/files/{file_id}": check_delete,
    "GET /v1/files/{file_id}/tokens": check_tokens,
    "POST /v1/uploads": check_uploads,
    "POST /v1/uploads/{upload_id}/parts": check_uploads,
    "POST /v1/uploads/{upload_id}/complete": check_uploads,
    "POST /v1/uploads/{upload_id}/cancel": check_uploads,
    "GET /v1/fine_tuning/jobs": check_jobs,
    "POST /v1/fine_tuning/jobs": check_create,
    f"POST {PLAN}": check_plan,
    "GET /v1/models": check_models,
    "GET /v1/quota": check_quota,
    "POST /v1/chat/completions": check_chat,
    "GET /v1/webhooks": check_webhooks,
    "POST /v1/webhooks": check_new_webhook,
    "DELETE /v1/webhooks/{webhook_id}": check_webhook_delete,
    "GET /v1/webhook_event_types": check_event_types,
    "GET /v1/fine_tuning/workers": check_workers,
    "POST /v1/webhooks/{webhook_id}": check_webhook_changes,
    "POST /v1/webhooks/{webhook_id}/rotate_secret": check_webhook_changes,
    "POST /v1/webhooks/{webhook_id}/test": check_webhook_changes,
    "DELETE /v1/models/{model}": check_model_delete,
    "DELETE /v1/fine_tuning/jobs/{job_id}/checkpoints/{checkpoint_id}": check_checkpoint_delete,
    "POST /v1/models/{model}/exports": check_new_export,
    "DELETE /v1/models/{model}/exports/{export_id}": check_export_delete,
}
"""Routes that name no object in their path, need a body or delete; the others are asked for the victim's."""


@pytest.mark.parametrize("route", OF_PROJECTS)
def test_another_projects_key_finds_nothing(victim: Victim, stranger: Member, route: str) -> None:
    if route in CASES:
        CASES[route](victim, stranger)
        return
    verb, template = route.split(" ")
    names = re.findall(r"{(\w+)}", template)
    assert names, f"{route}: add a case of what another project's key gets to CASES"
    assert set(names) <= set(victim.ids), f"{route}: give the victim what its path names"
    none = {name: f"{victim.ids[name][:5]}-none" for name in names}
    before = stranger.service.contents()
    with stranger.service.http() as http:
        refused = http.request(verb, template.format(**victim.ids))
        unknown = http.request(verb, template.format(**none))
    assert refused.status_code == 404, refused.text
    assert without_ids(refused, victim.ids) == without_ids(unknown, none), "it tells that there is something"
    assert stranger.service.contents() == before
    with victim.member.service.http() as own:
        allowed = own.request(verb, template.format(**victim.ids))
        assert allowed.status_code in {200, 400}, (
            allowed.text
        )  # 400: a job that has ended cannot be cancelled


def without_ids(answer: httpx.Response, ids: dict[str, str]) -> dict[str, Any]:
    text = answer.text
    for name, identifier in ids.items():
        text = text.replace(identifier, name)
    error: dict[str, Any] = json.loads(text)["error"]
    return error


def test_each_case_is_of_a_route_that_there_is() -> None:
    assert set(CASES) <= set(OF_PROJECTS)
    assert set(ROUTES) == {*OF_PROJECTS, *OF_ADMINS, *OPEN}
    assert len(OF_PROJECTS) >= 15


def test_every_route_is_in_the_document_and_every_stream_is_checked_here() -> None:
    modules = [
        importlib.import_module(f"api.routes.{module.name}")
        for module in pkgutil.iter_modules(api.routes.__path__)
        if module.name != "dependencies"
    ]
    routes = [route for module in modules for route in module.router.routes]
    assert all(route.include_in_schema for route in routes if isinstance(route, APIRoute))
    streams = [route.path for route in routes if isinstance(route, APIWebSocketRoute)]
    assert streams == ["/fine_tuning/jobs/{job_id}/stream"]


def test_another_projects_stream_is_none(victim: Victim, stranger: Member) -> None:
    told = []
    for job_id in (victim.ids["job_id"], "ftjob-none"):
        error = stream_refusal(stranger.service, job_id, close_code=4404)
        told.append({**error, "message": error["message"].replace(job_id, "JOB")})
    assert told[0] == told[1]
    assert told[0]["code"] == "job_not_found"


@pytest.mark.parametrize("route", OF_PROJECTS + OF_ADMINS)
def test_a_missing_scope_is_named(service: Service, route: str) -> None:
    verb, template = route.split(" ")
    reads = verb == "GET" or template == PLAN
    needed = "admin" if PROJECTS in route else "read" if reads else "write"
    others = {"read", "write", "admin"} - {needed}
    member = join(service, *others)
    before = service.contents()
    with member.service.http() as http:
        answer = http.request(verb, re.sub(r"{\w+}", "x", template))
    message = check_error(answer, 403, code="insufficient_scope", param=None)
    assert f"scope '{needed}'" in message
    assert f"has: {', '.join(sorted(others))}" in message
    assert service.contents() == before


def test_a_stream_needs_the_scope_read(service: Service, victim: Victim) -> None:
    writer = join(service, "write", project_id=victim.member.project_id)
    error = stream_refusal(writer.service, victim.ids["job_id"], close_code=4403)
    assert error["code"] == "insufficient_scope"
