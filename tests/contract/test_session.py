"""The dashboard's way in: a cookie for a key, from its own pages only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from api.cookies import COOKIE_SECONDS, CookieSigner
from store.keys import Holder
from store.secret_file import read_secret
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
    signer, now = CookieSigner(b"secret"), time.time()
    holder = Holder("key-a", "default", frozenset({"read"}), "00", None, None)
    cookie = signer.make(holder, now=now)
    assert (signer.key_id(cookie.value, now=now), cookie.seconds) == ("key-a", COOKIE_SECONDS)
    assert signer.proves(cookie.value, holder)
    assert signer.key_id(cookie.value, now=now + COOKIE_SECONDS - 1) == "key-a"
    assert signer.key_id(cookie.value, now=now + COOKIE_SECONDS) is None
    _, expiry, signature = cookie.value.split(".")
    forged = [
        f"key-a.{int(expiry) + 1}.{signature}",
        cookie.value[:-1],
        "",
        ".",
        "..",
        f"key-a.{expiry}.\xff",
    ]
    assert not any(signer.proves(value, holder) for value in forged)
    assert not signer.proves(cookie.value, replace(holder, key_id="key-b"))
    assert not signer.proves(cookie.value, replace(holder, sha256="01"))
    assert not CookieSigner(b"another").proves(cookie.value, holder)


def test_a_cookie_does_not_outlive_its_key() -> None:
    signer, now = CookieSigner(b"secret"), time.time()
    expires = datetime.fromtimestamp(int(now) + 60, UTC)
    holder = Holder("key-a", "default", frozenset({"read"}), "00", expires, None)
    cookie = signer.make(holder, now=now)
    assert cookie.seconds == 60
    assert signer.key_id(cookie.value, now=now + 59) == "key-a"
    assert signer.key_id(cookie.value, now=now + 60) is None


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "session_secret"
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(read_secret, [path] * 8))
    assert secrets == {read_secret(path)}
    assert len(read_secret(path)) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
