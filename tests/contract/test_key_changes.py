"""Keys that are changed and rotated."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from tests.contract.conftest import KEY, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import PROJECTS, Member, as_admin, join


def change(member: Member, body: dict[str, Any], path: str = "") -> Any:
    with as_admin(member.service).http() as http:
        return http.post(member.address + path, json=body)


def opens(service: Service) -> bool:
    with service.http() as http:
        return http.get(JOBS).status_code == 200


def test_the_client_changes_scopes_and_end(service: Service) -> None:
    member = join(service, "read")
    with openai.OpenAI(base_url=f"{service.url}/v1", admin_api_key=KEY, max_retries=0) as admin:
        keys = admin.admin.organization.projects.api_keys
        before = keys.retrieve(member.key_id, project_id=member.project_id)
        changed = keys.update(
            member.key_id, project_id=member.project_id, scopes=["write"], expires_in_seconds=3600
        )
    assert (changed.id, changed.redacted_value) == (before.id, before.redacted_value)
    assert 3590 <= (changed.expires_at or 0) - time.time() <= 3600
    with member.service.http() as http:
        check_error(http.get(JOBS), 403, code="insufficient_scope", param=None)
    assert change(member, {"name": "another"}).json()["name"] == "another"
    assert change(member, {"name": "third"}).json()["scopes"] == ["write"]


def test_a_key_that_has_ended_is_not_changed(service: Service) -> None:
    member = join(service)
    member.revoke()
    for answer in (change(member, {"name": "a"}), change(member, {}, "/rotate")):
        check_error(answer, 400, code="key_ended", param="key_id")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, None, "invalid_value"),
        ({"scopes": []}, "scopes", "invalid_value"),
        ({"scopes": ["root"]}, "scopes[0]", "invalid_value"),
        ({"expires_in_seconds": 0}, "expires_in_seconds", "invalid_value"),
        ({"value": "mine"}, "value", "unknown_parameter"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    service: Service, body: dict[str, Any], param: str, code: str
) -> None:
    check_error(change(join(service), body), 400, code=code, param=param)


def test_a_rotated_key_is_another_with_the_same_rights(service: Service) -> None:
    old = join(service, "read", expires_in_seconds=7200)
    made = change(old, {}, "/rotate").json()
    new = Member(old.project_id, made["id"], Service(**{**vars(old.service), "key": made["value"]}))
    assert made["id"] != old.key_id
    assert (made["scopes"], made["name"]) == (["read"], "test")
    assert 7190 <= made["expires_at"] - time.time() <= 7200
    assert (opens(new.service), opens(old.service)) == (True, False)
    with as_admin(service).http() as http:
        assert http.get(old.address).json()["revoked_at"] is not None


def test_with_a_grace_both_work_for_a_while(service: Service) -> None:
    old = join(service)
    made = change(old, {"grace_seconds": 60}, "/rotate").json()
    with as_admin(service).http() as http:
        ends = http.get(old.address).json()["expires_at"]
        assert http.get(f"{PROJECTS}/{old.project_id}/api_keys/{made['id']}").json()["expires_at"] is None
    assert 55 <= ends - time.time() <= 60
    assert opens(old.service)


def test_it_needs_the_scope_admin(service: Service) -> None:
    member = join(service, "read", "write")
    with member.service.http() as http:
        for path in ("", "/rotate"):
            answer = http.post(member.address + path, json={"name": "mine"})
            check_error(answer, 403, code="insufficient_scope", param=None)
