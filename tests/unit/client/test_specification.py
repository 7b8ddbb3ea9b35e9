"""The SDK and `openapi.json` say the same: every route, field, parameter and value of an enum."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from isthmus import Export, Isthmus, Job
from isthmus.types.base import Deleted, Page
from isthmus.types.chat import ChatChunk, ChatCompletion
from isthmus.types.files import File, TokenCounts, UploadPart, UploadSession
from isthmus.types.jobs import ArtifactList, Checkpoint, JobEvent, Sample
from isthmus.types.models import Model, ModelList
from isthmus.types.organization import Key, NewKey, Project, Quota
from isthmus.types.plan import Plan
from isthmus.types.series import Importance, Metrics
from isthmus.types.stream import CheckpointUpdate, EvaluationUpdate, JobUpdate, LogLine, StepUpdate
from isthmus.types.webhooks import Delivery, EventTypes, NewWebhook, Webhook, WebhookTest
from isthmus.types.workers import Worker

from tests.unit.client.schemas import Schema, differences, needed_keys

DOCUMENT: dict[str, Any] = json.loads(Path("openapi.json").read_text())
JOB = "/v1/fine_tuning/jobs/{job_id}"
EXPORTS = "/v1/models/{model}/exports"
PROJECT = "/v1/organization/projects/{project_id}"
client = Isthmus(api_key="isk-1")


@dataclass(frozen=True)
class Operation:
    """How the SDK does what a route does."""

    method: Callable[..., Any]
    answer: Any = None
    """None: bytes, or a stream."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The SDK's names of the route's parameters and fields, where they differ; empty: the SDK fills it in."""


OPERATIONS = {
    "GET /v1/files": Operation(client.files.list, Page[File]),
    "POST /v1/files": Operation(
        client.files.create,
        File,
        {"expires_after[anchor]": "", "expires_after[seconds]": "expires_in_seconds"},
    ),
    "GET /v1/files/{file_id}": Operation(client.files.retrieve, File),
    "DELETE /v1/files/{file_id}": Operation(client.files.delete, Deleted),
    "GET /v1/files/{file_id}/content": Operation(client.files.content),
    "GET /v1/files/{file_id}/tokens": Operation(client.files.tokens, TokenCounts),
    "GET /v1/fine_tuning/jobs": Operation(client.jobs.list, Page[Job]),
    "POST /v1/fine_tuning/jobs": Operation(client.jobs.create, Job),
    "POST /v1/fine_tuning/plan": Operation(client.jobs.plan, Plan),
    f"GET {JOB}": Operation(client.jobs.retrieve, Job),
    "GET /v1/fine_tuning/workers": Operation(client.workers.list, Page[Worker]),
    f"POST {JOB}/cancel": Operation(client.jobs.cancel, Job),
    f"POST {JOB}/pause": Operation(client.jobs.pause, Job),
    f"POST {JOB}/resume": Operation(client.jobs.resume, Job),
    f"GET {JOB}/events": Operation(client.jobs.events, Page[JobEvent]),
    f"GET {JOB}/checkpoints": Operation(client.jobs.checkpoints, Page[Checkpoint]),
    f"GET {JOB}/checkpoints/{{checkpoint_id}}/archive": Operation(client.checkpoints.archive),
    f"DELETE {JOB}/checkpoints/{{checkpoint_id}}": Operation(client.checkpoints.delete, Deleted),
    f"GET {JOB}/samples": Operation(client.jobs.samples, Page[Sample]),
    f"GET {JOB}/metrics": Operation(Job.metrics, Metrics, {"keys": "keys"}),
    f"GET {JOB}/importance": Operation(Job.importance, Importance),
    f"GET {JOB}/export": Operation(Job.export, names={"format": "file_format"}),
    f"GET {JOB}/artifacts": Operation(Job.download, ArtifactList),
    f"GET {JOB}/artifacts/{{path}}": Operation(Job.download),
    f"GET {JOB}/reproduction": Operation(Job.reproduction),
    f"GET {JOB}/stream": Operation(Job.stream, names={"last-event-id": ""}),
    "GET /v1/models": Operation(client.models.list, ModelList),
    "GET /v1/models/{model}": Operation(client.models.retrieve, Model),
    "GET /v1/models/{model}/archive": Operation(client.models.archive),
    "DELETE /v1/models/{model}": Operation(client.models.delete, Deleted),
    f"POST {EXPORTS}": Operation(client.models.exports.create, Export),
    f"GET {EXPORTS}": Operation(client.models.exports.list, Page[Export]),
    f"GET {EXPORTS}/{{export_id}}": Operation(client.models.exports.retrieve, Export),
    f"POST {EXPORTS}/{{export_id}}/cancel": Operation(client.models.exports.cancel, Export),
    f"DELETE {EXPORTS}/{{export_id}}": Operation(client.models.exports.delete, Deleted),
    f"GET {EXPORTS}/{{export_id}}/content": Operation(Export.archive),
    f"GET {EXPORTS}/{{export_id}}/files/{{name}}": Operation(Export.download),
    "POST /v1/chat/completions": Operation(
        client.chat.create, ChatCompletion, {"stream": "", "stream_options": ""}
    ),
    "GET /v1/quota": Operation(client.quota, Quota),
    "POST /v1/uploads": Operation(
        client.uploads.create, UploadSession, {"bytes": "size", "expires_after": "expires_in_seconds"}
    ),
    "POST /v1/uploads/{upload_id}/parts": Operation(client.uploads.add_part, UploadPart),
    "POST /v1/uploads/{upload_id}/complete": Operation(client.uploads.complete, UploadSession),
    "POST /v1/uploads/{upload_id}/cancel": Operation(client.uploads.cancel, UploadSession),
    "GET /v1/webhooks": Operation(client.webhooks.list, Page[Webhook]),
    "POST /v1/webhooks": Operation(client.webhooks.create, NewWebhook),
    "GET /v1/webhooks/{webhook_id}": Operation(client.webhooks.retrieve, Webhook),
    "DELETE /v1/webhooks/{webhook_id}": Operation(client.webhooks.delete, Deleted),
    "GET /v1/webhooks/{webhook_id}/deliveries": Operation(client.webhooks.deliveries, Page[Delivery]),
    "GET /v1/webhook_event_types": Operation(client.webhooks.event_types, EventTypes),
    "POST /v1/webhooks/{webhook_id}": Operation(client.webhooks.update, Webhook),
    "POST /v1/webhooks/{webhook_id}/rotate_secret": Operation(client.webhooks.rotate_secret, NewWebhook),
    "POST /v1/webhooks/{webhook_id}/test": Operation(client.webhooks.test, WebhookTest),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": Operation(
        client.webhooks.redeliver, Delivery
    ),
    "GET /v1/organization/projects": Operation(client.projects.list, Page[Project]),
    "POST /v1/organization/projects": Operation(client.projects.create, Project),
    f"GET {PROJECT}": Operation(client.projects.retrieve, Project),
    f"POST {PROJECT}": Operation(client.projects.rename, Project),
    f"POST {PROJECT}/archive": Operation(client.projects.archive, Project),
    f"GET {PROJECT}/quota": Operation(client.projects.quota, Quota),
    f"POST {PROJECT}/quota": Operation(client.projects.set_quota, Quota),
    f"GET {PROJECT}/api_keys": Operation(client.keys.list, Page[Key]),
    f"POST {PROJECT}/api_keys": Operation(client.keys.create, NewKey),
    f"GET {PROJECT}/api_keys/{{key_id}}": Operation(client.keys.retrieve, Key),
    f"POST {PROJECT}/api_keys/{{key_id}}": Operation(client.keys.update, Key),
    f"POST {PROJECT}/api_keys/{{key_id}}/rotate": Operation(client.keys.rotate, NewKey),
    f"DELETE {PROJECT}/api_keys/{{key_id}}": Operation(client.keys.revoke, Deleted),
}
FRAMES: dict[str, Any] = {
    "JobFrame": JobUpdate[Job],
    "EventFrame": LogLine,
    "StepFrame": StepUpdate,
    "CheckpointFrame": CheckpointUpdate,
    "EvaluationFrame": EvaluationUpdate,
    "ChatCompletionChunk": ChatChunk,
}
HAS_A_DEFAULT = {"purpose"}
"""What a route needs and the SDK knows by itself."""
OF_METHODS_ALONE = {"name", "path"}
"""What a file is called, and where a download goes: no route's business."""


def _routes() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in DOCUMENT["paths"].items():
        if path.startswith("/v1/"):
            for verb, operation in verbs.items():
                yield f"{verb.upper()} {path}", operation


ROUTES = dict(_routes())


def test_every_route_has_a_method_and_every_method_a_route() -> None:
    assert set(OPERATIONS) == set(ROUTES)


@pytest.mark.parametrize("route", sorted(set(OPERATIONS) & set(ROUTES)))
def test_answers_have_the_same_fields(route: str) -> None:
    content = ROUTES[route]["responses"]["200"]["content"]
    schema = content.get("application/json", {}).get("schema")
    expected = OPERATIONS[route].answer
    if schema is None:
        assert expected is None
        return
    assert differences(Schema(schema, DOCUMENT), expected, "answer") == []


@pytest.mark.parametrize("route", sorted(set(OPERATIONS) & set(ROUTES)))
def test_requests_have_the_same_fields(route: str) -> None:
    operation = OPERATIONS[route]
    taken = _keywords(operation.method)
    asked = _parameters(ROUTES[route])
    named = {operation.names.get(name, name): schema for name, schema in asked.items()}
    named.pop("", None)
    extra = set(taken) - set(named) - OF_METHODS_ALONE
    assert (set(named) - set(taken) - _bound(operation), extra) == (set(), set())
    needed = {operation.names.get(name, name) for name in _needed_by(ROUTES[route])}
    assert needed - _bound(operation) <= _needed(operation.method) | HAS_A_DEFAULT
    for name, schema in named.items():
        if name in taken and name not in operation.names.values():
            assert differences(schema, taken[name], name, request=True) == []


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_frames_of_a_stream_have_the_same_fields(name: str) -> None:
    schema = Schema({"$ref": f"#/components/schemas/{name}"}, DOCUMENT)
    assert differences(schema, FRAMES[name], name) == []


def test_a_difference_is_found() -> None:
    schema = {
        "type": "object",
        "required": ["id", "created_at", "purpose", "rows", "news"],
        "properties": {
            "id": {"type": "string"},
            "created_at": {"type": "string"},
            "purpose": {"enum": ["fine-tune", "fun"]},
            "rows": {"type": "integer"},
            "news": {"type": "string"},
        },
    }
    found = "\n".join(differences(Schema(schema, {}), File, "file"))
    assert "file: the SDK has no field news" in found
    assert "file: the specification has no field" in found
    assert "file.created_at: integer in the SDK, string in the specification" in found
    assert "file.purpose: " in found
    assert "fun" in found


def _bound(operation: Operation) -> set[str]:
    """What a job's or an export's own methods know without being told."""
    known = {"sync_job": {"job_id", "path"}, "sync_export": {"model", "export_id", "name"}}
    return known.get(operation.method.__module__.rpartition(".")[2], set())


def _parameters(operation: dict[str, Any]) -> dict[str, Schema]:
    """Everything a route takes, by name: in its path, its query and its body."""
    found = {
        parameter["name"]: Schema(parameter["schema"], DOCUMENT)
        for parameter in operation.get("parameters", [])
        if parameter["name"].lower() != "idempotency-key"
    }
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found |= Schema(content["schema"], DOCUMENT).properties()
    return found


def _needed_by(operation: dict[str, Any]) -> set[str]:
    """What a route cannot do without."""
    found = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["required"]}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found |= Schema(content["schema"], DOCUMENT).required()
    return found


def _keywords(method: Callable[..., Any]) -> dict[str, Any]:
    """What a method takes, by name, its `**params` spelled out."""
    hints = get_type_hints(method)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if name == "self":
            continue
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            assert get_origin(hints[name]) is Unpack
            (params,) = get_args(hints[name])
            assert is_typeddict(params)
            found |= get_type_hints(params)
        else:
            found[name] = hints[name]
    return found


def _needed(method: Callable[..., Any]) -> set[str]:
    """What a method cannot be called without."""
    hints = get_type_hints(method)
    found: set[str] = set()
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found |= needed_keys(get_args(hints[name])[0])
        elif parameter.default is inspect.Parameter.empty:
            found.add(name)
    return found
