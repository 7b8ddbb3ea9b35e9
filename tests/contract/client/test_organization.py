"""Projects, keys, quotas and webhooks against a real API, and what a key may not."""

from __future__ import annotations

import pytest
from isthmus import AuthenticationFailed, Isthmus, PermissionDenied, RateLimited

from tests.contract.client.conftest import Reach
from tests.contract.conftest import DATA


def test_a_project_from_its_making_to_its_archive(client: Isthmus, reach: Reach) -> None:
    project = client.projects.create(name="team")
    assert client.projects.rename(project.id, name="crew").name == "crew"
    assert client.projects.retrieve(project.id).name == "crew"
    assert project.id in {found.id for found in client.projects.list(limit=1)}
    key = client.keys.create(project_id=project.id, name="laptop", scopes=["read"])
    assert [found.id for found in client.keys.list(project_id=project.id)] == [key.id]
    assert client.keys.retrieve(key.id, project_id=project.id).scopes == ["read"]

    assert client.keys.update(key.id, project_id=project.id, name="desktop").name == "desktop"
    member = reach.connect(key.value)
    assert list(member.files.list()) == []
    with pytest.raises(PermissionDenied) as caught:
        member.files.create(file=DATA, name="a.jsonl")
    assert caught.value.code == "insufficient_scope"
    newer = client.keys.rotate(key.id, project_id=project.id, grace_seconds=60)
    assert list(reach.connect(newer.value).files.list()) == []
    assert client.keys.revoke(key.id, project_id=project.id).deleted
    with pytest.raises(AuthenticationFailed):
        member.models.list()

    assert client.projects.archive(project.id).status == "archived"
    assert project.id not in {found.id for found in client.projects.list()}
    assert project.id in {found.id for found in client.projects.list(include_archived=True)}


def test_a_limit_is_set_told_and_lifted(client: Isthmus, reach: Reach) -> None:
    project = client.projects.create(name="small")
    key = client.keys.create(project_id=project.id, name="laptop").value
    quota = client.projects.set_quota(project.id, max_bytes=10)
    assert (quota.max_bytes, quota.max_jobs) == (10, client.projects.quota(project.id).max_jobs)
    member = reach.connect(key)
    assert member.quota().max_bytes == 10
    with pytest.raises(RateLimited) as caught:
        member.files.create(file=DATA, name="a.jsonl")
    assert caught.value.code == "quota_exceeded"
    assert client.projects.set_quota(project.id, max_bytes=None).max_bytes is None
    member.files.create(file=DATA, name="a.jsonl")
    assert member.quota().usage.bytes == len(DATA)


def test_a_webhook(client: Isthmus) -> None:
    made = client.webhooks.create(url="https://example.com/", event_types=["fine_tuning.job.failed"])
    assert made.signing_secret.endswith(made.signing_secret_hint[-4:])
    assert client.webhooks.retrieve(made.id).event_types == ["fine_tuning.job.failed"]
    assert made.id in {found.id for found in client.webhooks.list()}
    changed = client.webhooks.update(made.id, name="other", enabled=False)
    assert (changed.name, changed.enabled, changed.url) == ("other", False, made.url)
    assert client.webhooks.rotate_secret(made.id).signing_secret != made.signing_secret
    assert "fine_tuning.job.failed" in client.webhooks.event_types()
    assert list(client.webhooks.deliveries(made.id)) == []
    assert client.webhooks.delete(made.id).deleted
