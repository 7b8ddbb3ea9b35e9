"""The dashboard's way in: a cookie for a key, from its own pages only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from api.auth import COOKIE_SECONDS, KeyRing
from tests.contract.conftest import KEY, Service
from tests.contract.errors import JOBS, check_error


@pytest.fixture
def browser(service: Service) -> Iterator[httpx.Client]:
    """A signed-in page."""
    with httpx.Client(base_url=service.url) as page:
        assert page.post("/session", json={"key": KEY}).json() == {"authenticated": True}
        yield page


def test_a_key_buys_a_cookie_that_scripts_cannot_read(service: Service) -> None:
    with httpx.Client(base_url=service.url) as page:
        assert page.get("/session").json() == {"authenticated": False}
        cookie = page.post("/session", json={"key": KEY}).headers["set-cookie"]
        assert re.search(r"HttpOnly; Max-Age=2592000; Path=/; SameSite=strict$", cookie)
        assert KEY not in cookie
        assert page.get("/session").json() == {"authenticated": True}
        assert page.get(JOBS).status_code == 200
        assert page.delete("/session", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 204
        assert page.get("/session").json() == {"authenticated": False}
        check_error(page.get(JOBS), 401, code="invalid_api_key", param=None)


@pytest.mark.parametrize("body", [{"key": "wrong"}, {"key": KEY + "x"}])
def test_a_wrong_key_buys_nothing(service: Service, body: dict[str, str]) -> None:
    answer = httpx.post(f"{service.url}/session", json=body)
    check_error(answer, 401, code="invalid_api_key", param=None)
    assert "set-cookie" not in answer.headers


def test_a_misspelt_key_is_named(service: Service) -> None:
    message = check_error(
        httpx.post(f"{service.url}/session", json={"kee": KEY, "key": KEY}),
        400,
        code="unknown_parameter",
        param="kee",
    )
    assert "'key'" in message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_cookie_changes_nothing_from_elsewhere(
    service: Service, browser: httpx.Client, headers: dict[str, str]
) -> None:
    job_id = service.create_job()
    answer = browser.post(f"{JOBS}/{job_id}/cancel", headers=headers)
    check_error(answer, 403, code="cross_origin", param=None)
    assert browser.get(f"{JOBS}/{job_id}").json()["state"] == "queued"


def test_a_cookie_works_from_the_own_page(service: Service, browser: httpx.Client) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": service.url}):
        job_id = service.create_job()
        answer = browser.post(f"{JOBS}/{job_id}/cancel", headers=headers)
        assert answer.json()["state"] == "cancelled"


def test_a_wrong_bearer_key_is_not_mended_by_the_cookie(browser: httpx.Client) -> None:
    answer = browser.get(JOBS, headers={"Authorization": "Bearer wrong"})
    check_error(answer, 401, code="invalid_api_key", param=None)


def test_cookies_expire_and_cannot_be_forged() -> None:
    keys, now = KeyRing(KEY), time.time()
    cookie = keys.make_cookie(now=now)
    assert keys.accepts_cookie(cookie, now=now + COOKIE_SECONDS - 1)
    assert not keys.accepts_cookie(cookie, now=now + COOKIE_SECONDS)
    expiry, _, signature = cookie.partition(".")
    forged = [
        f"{int(expiry) + 1}.{signature}",
        f"{expiry}.{signature[:-1]}",
        expiry,
        "",
        ".",
        f"{expiry}.\xff",
    ]
    assert not any(keys.accepts_cookie(value, now=now) for value in forged)
    assert not KeyRing("another key").accepts_cookie(cookie, now=now)
