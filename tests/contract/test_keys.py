"""Keys that end: revoked, expired, archived with their project; and what they opened ends with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from api import feed
from api.admin import main
from store.keys import get_key
from store.tables import ApiKey
from tests.contract.conftest import KEY, Service, serving
from tests.contract.errors import JOBS, check_error
from tests.contract.tenants import PROJECTS, Member, as_admin, join, make_project, stream, until_refused


def revoke(member: Member) -> None:
    member.revoke()


def expire(member: Member) -> None:
    write(member, expires_at=datetime.now(UTC) - timedelta(seconds=1))


def archive(member: Member) -> None:
    with as_admin(member.service).http() as http:
        assert http.post(f"{PROJECTS}/{member.project_id}/archive").json()["status"] == "archived"


def write(member: Member, **values: datetime) -> None:
    with member.service.database.session() as session:
        session.execute(update(ApiKey).where(ApiKey.id == member.key_id).values(**values))


def read(member: Member) -> ApiKey:
    with member.service.database.session() as session:
        key = get_key(session, member.project_id, member.key_id)
    assert key is not None
    return key


every_end = pytest.mark.parametrize("end", [revoke, expire, archive], ids=lambda end: end.__name__)


@every_end
def test_a_key_that_has_ended_opens_nothing(service: Service, end: Callable[[Member], None]) -> None:
    member = join(service)
    with member.service.http() as http:
        assert http.get(JOBS).status_code == 200
        end(member)
        for answer in (http.get(JOBS), http.get("/v1/models"), http.get(PROJECTS)):
            check_error(answer, 401, code="invalid_api_key", param=None)
        bought = http.post("/session", json={"key": member.service.key}, headers={"Authorization": ""})
        check_error(bought, 401, code="invalid_api_key", param=None)


@every_end
def test_a_cookie_ends_with_its_key(service: Service, end: Callable[[Member], None]) -> None:
    member = join(service)
    other = join(service, project_id=member.project_id)
    with httpx.Client(base_url=service.url) as page, httpx.Client(base_url=service.url) as other_page:
        for each, who in ((page, member), (other_page, other)):
            each.post("/session", json={"key": who.service.key})
            assert each.get("/session").json() == {"authenticated": True}
        end(member)
        assert page.get("/session").json() == {"authenticated": False}
        check_error(page.get(JOBS), 401, code="invalid_api_key", param=None)
        assert other_page.get("/session").json() == {"authenticated": end is not archive}


@every_end
@pytest.mark.parametrize("by", ["key", "cookie"])
def test_an_open_stream_ends_with_its_key(
    service: Service, monkeypatch: pytest.MonkeyPatch, end: Callable[[Member], None], by: str
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)
    member = join(service)
    job_id = member.service.create_job()
    headers = {}
    if by == "cookie":
        cookie = httpx.post(f"{service.url}/session", json={"key": member.service.key}).headers["set-cookie"]
        headers = {"Cookie": cookie.partition(";")[0], "Origin": service.url}
    with stream(member.service, job_id, **headers) as socket:
        for _ in range(3):  # the job, and two events
            socket.recv(timeout=10)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        end(member)
        assert until_refused(socket, close_code=4401)["code"] == "invalid_api_key"


def test_a_cookie_is_of_one_project_and_has_its_keys_scopes(service: Service) -> None:
    reader = join(service, "read")
    job_id = service.create_job()
    with httpx.Client(base_url=service.url, headers={"Sec-Fetch-Site": "same-origin"}) as page:
        page.post("/session", json={"key": reader.service.key})
        assert page.get(JOBS).json()["data"] == []
        check_error(page.get(f"{JOBS}/{job_id}"), 404, code="job_not_found", param="job_id")
        check_error(page.post(f"{JOBS}/{job_id}/cancel"), 403, code="insufficient_scope", param=None)
        check_error(page.get(PROJECTS), 403, code="insufficient_scope", param=None)


def test_a_use_is_noted_once_a_minute(service: Service) -> None:
    member = join(service)
    assert read(member).last_used_at is None
    with member.service.http() as http:
        http.get(JOBS)
        first = read(member).last_used_at
        assert first is not None
        http.get(JOBS)
        assert read(member).last_used_at == first
        write(member, last_used_at=first - timedelta(seconds=61))
        http.get(JOBS)
    again = read(member).last_used_at
    assert again is not None
    assert again >= first


def test_a_key_is_shown_once_and_kept_as_a_hash(service: Service) -> None:
    member = join(service, "read", expires_in_seconds=3600)
    value = member.service.key
    assert value.startswith("isk-")
    with as_admin(service).http() as http:
        shown = http.get(member.address)
        listed = http.get(f"{PROJECTS}/{member.project_id}/api_keys")
    assert value not in shown.text + listed.text
    key = shown.json()
    assert value.startswith(key["redacted_value"].removesuffix("..."))
    assert len(key["redacted_value"]) < 16
    assert (key["scopes"], key["project_id"]) == (["read"], member.project_id)
    assert key["expires_at"] == key["created_at"] + 3600
    row = read(member)
    assert value not in str([getattr(row, column.name) for column in ApiKey.__table__.columns])


def test_another_bootstrap_key_ends_the_cookies_of_the_first(service: Service) -> None:
    with httpx.Client(base_url=service.url) as page:
        page.post("/session", json={"key": KEY})
        cookies = dict(page.cookies)
    changed = service.settings.model_copy(update={"api_key": SecretStr("isthmus-another")})
    with serving(service.settings) as same, httpx.Client(base_url=same.url, cookies=cookies) as page:
        assert page.get("/session").json() == {"authenticated": True}
    with serving(changed) as other, httpx.Client(base_url=other.url, cookies=cookies) as page:
        assert page.get("/session").json() == {"authenticated": False}
        with other.http() as http:
            check_error(http.get(JOBS), 401, code="invalid_api_key", param=None)


def test_without_a_bootstrap_key_the_first_admin_key_is_made_by_hand_and_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", service.settings.database_url)
    monkeypatch.setattr("sys.argv", ["admin", "init"])
    with service.database.session() as session:
        session.execute(update(ApiKey).values(revoked_at=datetime.now(UTC)))
    with serving(service.settings.model_copy(update={"api_key": None})) as keyless:
        with keyless.http() as http:
            check_error(http.get(JOBS), 401, code="invalid_api_key", param=None)
        assert main() == 0
        key = capsys.readouterr().out.strip()
        with keyless.http(Authorization=f"Bearer {key}") as http:
            assert http.get(JOBS).status_code == 200
            assert http.get(PROJECTS).status_code == 200
    assert main() == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "there is an admin key already" in told.err


def test_an_archived_project_gets_no_keys_and_the_default_one_is_never_archived(service: Service) -> None:
    project_id = make_project(service)
    with as_admin(service).http() as http:
        http.post(f"{PROJECTS}/{project_id}/archive")
        refused = http.post(f"{PROJECTS}/{project_id}/api_keys", json={"name": "late"})
        check_error(refused, 400, code="project_archived", param="project_id")
        check_error(http.post(f"{PROJECTS}/default/archive"), 400, code="default_project", param="project_id")
