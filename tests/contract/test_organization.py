"""Projects and keys, administered with the unmodified `openai` client where it knows them."""

from __future__ import annotations

import openai
import pytest

from tests.contract.conftest import KEY, Service
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import PROJECTS, join, make_project


@pytest.fixture
def admin(service: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", admin_api_key=KEY, api_key="unused", max_retries=0)


def test_projects_are_made_listed_renamed_and_archived(admin: openai.OpenAI) -> None:
    projects = admin.admin.organization.projects
    made = [projects.create(name=f"team {n}") for n in range(3)]
    ids = [project.id for project in made]
    assert (made[0].object, made[0].name, made[0].status) == ("organization.project", "team 0", "active")
    assert made[0].archived_at is None
    assert [project.id for project in projects.list(limit=2)][:3] == ids[::-1]
    assert projects.retrieve(ids[0]) == made[0]
    assert projects.update(ids[0], name="search").name == "search"
    archived = projects.archive(ids[1])
    assert (archived.status, projects.archive(ids[1])) == ("archived", archived)
    assert ids[1] not in {project.id for project in projects.list()}
    assert ids[1] in {project.id for project in projects.list(include_archived=True)}


def test_keys_are_listed_retrieved_and_revoked(service: Service, admin: openai.OpenAI) -> None:
    member = join(service, "read")
    keys = admin.admin.organization.projects.api_keys
    join(service, "write", project_id=member.project_id)
    (_, key) = keys.list(member.project_id, limit=1)
    assert key == keys.retrieve(member.key_id, project_id=member.project_id)
    assert (key.object, key.name, key.owner_project_access) == (
        "organization.project.api_key",
        "test",
        "active",
    )
    assert (key.model_extra or {})["scopes"] == ["read"]
    gone = keys.delete(member.key_id, project_id=member.project_id)
    assert (gone.id, gone.deleted) == (member.key_id, True)
    assert member.key_id not in {each.id for each in keys.list(member.project_id)}
    with service.http() as http:
        everything = http.get(f"{PROJECTS}/{member.project_id}/api_keys?include_revoked=true").json()["data"]
    assert {each["id"]: each["revoked_at"] is not None for each in everything}[member.key_id]


def test_a_key_is_found_under_its_own_project_only(service: Service) -> None:
    member, other = join(service), make_project(service)
    with service.http() as http:
        for answer in (
            http.get(f"{PROJECTS}/{other}/api_keys/{member.key_id}"),
            http.delete(f"{PROJECTS}/{other}/api_keys/{member.key_id}"),
        ):
            check_error(answer, 404, code="api_key_not_found", param="key_id")
        unknown = http.get(f"{PROJECTS}/proj-none/api_keys")
        check_error(unknown, 404, code="project_not_found", param="project_id")
    with member.service.http() as http:
        assert http.get(JOBS).status_code == 200


def test_wrong_bodies_are_refused_by_field(service: Service) -> None:
    project_id = make_project(service)
    before = service.contents()
    keys = f"{PROJECTS}/{project_id}/api_keys"
    with service.http() as http:
        for path, body, code, param in (
            (PROJECTS, {}, "missing_parameter", "name"),
            (PROJECTS, {"name": ""}, "invalid_value", "name"),
            (PROJECTS, {"name": "a\0b"}, "invalid_value", "name"),
            (PROJECTS, {"name": "a", "geography": "EU"}, "unknown_parameter", "geography"),
            (keys, {"name": "a", "scopes": []}, "invalid_value", "scopes"),
            (keys, {"name": "a", "scopes": ["all"]}, "invalid_value", "scopes[0]"),
            (keys, {"name": "a", "expires_in_seconds": 0}, "invalid_value", "expires_in_seconds"),
        ):
            check_error(http.post(path, json=body), 400, code=code, param=param)
    assert service.contents() == before
