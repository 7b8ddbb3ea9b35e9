"""The two clients as HTTP sees them: the same requests and the same errors from both."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from isthmus import (
    AuthenticationFailed,
    ConnectionFailed,
    Isthmus,
    IsthmusError,
    Timeout,
    UnexpectedAnswer,
)

from tests.unit.client.clients import FILE, JOB, asynchronous, blocking, both


async def test_a_request_carries_the_key_and_who_asks() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=FILE)

    for file in await both(handler, lambda client: client.files.retrieve("file-1")):
        assert file.filename == "a.jsonl"
    assert [str(request.url) for request in seen] == ["http://service/v1/files/file-1"] * 2
    for request in seen:
        assert request.headers["authorization"] == "Bearer isk-1"
        assert request.headers["user-agent"].startswith("isthmus-python/")


async def test_an_id_stays_one_part_of_the_path() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.url.raw_path == b"/v1/models/org%2Fmodel%3Fx"
        return httpx2.Response(200, json={"id": "org/model?x"})

    assert [model.id for model in await both(handler, lambda c: c.models.retrieve("org/model?x"))]
    with pytest.raises(IsthmusError, match="not an id"), blocking(handler) as client:
        client.files.retrieve("..")


async def test_an_upload_is_sent_anew_from_its_beginning(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        return httpx2.Response(503 if len(bodies) % 2 else 200, json=FILE, headers={"retry-after": "0"})

    path = tmp_path / "train.jsonl"
    path.write_bytes(b"xyz")
    opened = io.BytesIO(b"xyz")
    for file in (path, b"xyz", opened):
        bodies.clear()
        with blocking(handler) as client:
            client.files.create(file=file, name="train.jsonl")
        async with asynchronous(handler) as twin:
            await twin.files.create(file=file, name="train.jsonl")
        assert len(bodies) == 4
        for body in bodies:
            assert b'filename="train.jsonl"' in body
            assert b"\r\n\r\nxyz\r\n" in body
            assert b"\r\n\r\nfine-tune\r\n" in body


async def test_a_body_says_null_only_where_the_caller_does() -> None:
    bodies: list[Any] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.read()))
        return httpx2.Response(200, json=JOB)

    await both(handler, lambda c: c.jobs.create(model="tiny", training_file="file-1", ist=None))
    assert bodies == [{"model": "tiny", "training_file": "file-1", "ist": None}] * 2


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx2.ConnectError("refused"), ConnectionFailed),
        (httpx2.ReadTimeout("slow"), Timeout),
        (httpx2.RemoteProtocolError("cut"), ConnectionFailed),
        (httpx2.DecodingError("garbled"), UnexpectedAnswer),
    ],
)
async def test_what_fails_on_the_way_is_an_error_of_ours(
    raised: Exception, expected: type[Exception]
) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise raised

    with pytest.raises(expected, match="GET /v1/models"), blocking(handler, max_retries=0) as client:
        client.models.list()
    async with asynchronous(handler, max_retries=0) as twin:
        with pytest.raises(expected, match="GET /v1/models") as caught:
            await twin.models.list()
    assert caught.value.__cause__ is raised


async def test_each_call_can_have_its_own_patience() -> None:
    timeouts: list[Any] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        timeouts.append(request.extensions["timeout"])
        return httpx2.Response(200, json={"data": []})

    await both(handler, lambda client: client.with_options(timeout=2).models.list(), timeout=30)
    await both(handler, lambda client: client.models.list(), timeout=30)
    assert [(told["read"], told["connect"]) for told in timeouts] == [(2, 2), (2, 2), (30, 5), (30, 5)]


def test_a_client_of_yours_stays_open_and_one_of_its_own_does_not() -> None:
    http = httpx2.Client()
    with Isthmus(api_key="isk-1", http_client=http):
        pass
    assert not http.is_closed
    http.close()
    own = Isthmus(api_key="isk-1")
    with own:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        own.models.list()


def test_the_environment_says_where_and_who(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(401, json={"error": {"message": "no", "code": "invalid_api_key"}})

    monkeypatch.setenv("ISTHMUS_BASE_URL", "https://elsewhere.example/isthmus")
    monkeypatch.setenv("ISTHMUS_API_KEY", "isk-2")
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    with pytest.raises(AuthenticationFailed), Isthmus(http_client=http) as client:
        client.models.list()
    assert str(seen[0].url) == "https://elsewhere.example/isthmus/v1/models"
    assert seen[0].headers["authorization"] == "Bearer isk-2"


def test_a_client_without_key_or_with_nonsense_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_API_KEY", raising=False)
    for match, options in {
        "ISTHMUS_API_KEY": {},
        "base_url": {"api_key": "isk-1", "base_url": "service:8000"},
        "api_key": {"api_key": "isk-1\n"},
        "max_retries": {"api_key": "isk-1", "max_retries": -1},
    }.items():
        with pytest.raises(IsthmusError, match=match):
            Isthmus(**options)  # type: ignore[arg-type]


def test_no_key_in_what_is_printed() -> None:
    from isthmus.options import Options

    assert "isk-1" not in repr(Options.of(None, "isk-1", timeout=1, max_retries=0))
