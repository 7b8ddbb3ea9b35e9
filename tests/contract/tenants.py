"""Projects and keys for tests, made as an admin makes them."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from store.keys import SCOPES
from tests.contract.conftest import KEY, Service

PROJECTS = "/v1/organization/projects"


@dataclass(frozen=True)
class Member:
    """A project's key, and the service as it is seen with it."""

    project_id: str
    key_id: str
    service: Service

    @property
    def address(self) -> str:
        """The key among its project's."""
        return f"{PROJECTS}/{self.project_id}/api_keys/{self.key_id}"

    def revoke(self) -> None:
        """As an admin does."""
        with as_admin(self.service).http() as http:
            assert http.delete(self.address).json()["deleted"] is True


def as_admin(service: Service) -> Service:
    """The service as the bootstrap key sees it."""
    return replace(service, key=KEY)


def make_project(service: Service, **quota: int) -> str:
    """A new project's id."""
    with as_admin(service).http() as http:
        project_id = str(http.post(PROJECTS, json={"name": "team"}).json()["id"])
        assert http.post(f"{PROJECTS}/{project_id}/quota", json=quota).status_code == 200
    return project_id


def join(
    service: Service, *scopes: str, project_id: str | None = None, expires_in_seconds: int | None = None
) -> Member:
    """A new key (of a new project, unless one is named); without scopes: with all."""
    project_id = project_id or make_project(service)
    body: dict[str, Any] = {
        "name": "test",
        "scopes": scopes or SCOPES,
        "expires_in_seconds": expires_in_seconds,
    }
    with as_admin(service).http() as http:
        answer = http.post(f"{PROJECTS}/{project_id}/api_keys", json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    return Member(project_id, made["id"], replace(service, key=made["value"]))


def stream(service: Service, job_id: str, **headers: str) -> AbstractContextManager[ClientConnection]:
    """A job's stream, opened with the service's key or with other headers."""
    address = f"{service.websocket}/v1/fine_tuning/jobs/{job_id}/stream"
    return connect(address, additional_headers=headers or {"Authorization": f"Bearer {service.key}"})


def until_refused(socket: ClientConnection, *, close_code: int) -> dict[str, Any]:
    """The error that ends a stream, after whatever came before it."""
    frames = []
    with pytest.raises(ConnectionClosed):
        while True:
            frames.append(json.loads(socket.recv(timeout=10)))
    assert (frames[-1]["type"], socket.close_code) == ("error", close_code)
    error: dict[str, Any] = frames[-1]["error"]
    return error


def stream_refusal(service: Service, job_id: str, *, close_code: int) -> dict[str, Any]:
    """The error of a stream that tells nothing else."""
    with stream(service, job_id) as socket:
        error: dict[str, Any] = json.loads(socket.recv(timeout=10))["error"]
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
        assert socket.close_code == close_code
    return error
