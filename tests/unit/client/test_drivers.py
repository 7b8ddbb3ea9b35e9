"""The two clients as HTTP sees them: the same requests and the same errors from both."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from isthmus import (
    AsyncIsthmus,
    AuthenticationFailed,
    ConnectionFailed,
    Isthmus,
    IsthmusError,
    JobUpdate,
    StepUpdate,
    Timeout,
    UnexpectedAnswer,
)

Handler = Callable[[httpx2.Request], httpx2.Response]
FILE = {"id": "file-1", "bytes": 3, "created_at": 1, "filename": "a.jsonl", "purpose": "fine-tune"}
JOB = {"id": "ftjob-1", "created_at": 1, "model": "tiny", "training_file": "file-1", "status": "running"}


def blocking(handler: Handler, **options: Any) -> Isthmus:
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return Isthmus(base_url="http://service/v1/", api_key="isk-1", http_client=http, **options)


def asynchronous(handler: Handler, **options: Any) -> AsyncIsthmus:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    return AsyncIsthmus(base_url="http://service/v1/", api_key="isk-1", http_client=http, **options)


async def both(handler: Handler, call: Callable[[Any], Any], **options: Any) -> list[Any]:
    """What a call comes to in the blocking and in the asynchronous client."""
    with blocking(handler, **options) as client:
        first = call(client)
    async with asynchronous(handler, **options) as client:
        return [first, await call(client)]


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


def frames(*items: dict[str, Any]) -> bytes:
    return b": hello\n\nretry: 1000\n\n" + b"".join(
        b"data: %b\n\n" % json.dumps(item).encode() for item in items
    )


FRAMES = [
    frames(
        {"seq": 0, "type": "job", "data": {**JOB, "last_seq": 1}},
        {"seq": 1, "type": "step", "data": {"step": 1, "time": 1}},
    ),
    frames(
        {"seq": 1, "type": "job", "data": {**JOB, "status": "succeeded", "last_seq": 2}},
        {"seq": 2, "type": "step", "data": {"step": 2, "time": 2}},
        {"type": "end"},
    ),
]


class Cut(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body whose connection breaks after it, unless it is the last one; says whether it was closed."""

    def __init__(self, content: bytes, *, whole: bool) -> None:
        self.content = content
        self.whole = whole
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        if not self.whole:
            raise httpx2.ReadError("reset by peer")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


class Streaming:
    """A service whose stream breaks once."""

    def __init__(self) -> None:
        self.bodies = [Cut(FRAMES[0], whole=False), Cut(FRAMES[1], whole=True)]
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/stream"):
            return httpx2.Response(200, json=JOB)
        self.asked.append(request.url.params["after"])
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=self.bodies[len(self.asked) - 1])


async def test_a_stream_survives_a_break_and_keeps_its_job_current() -> None:
    service = Streaming()
    with blocking(service) as client:
        job = client.jobs.retrieve("ftjob-1")
        updates = list(job.stream())
    assert [
        (update.type, update.seq) for update in updates if isinstance(update, (JobUpdate, StepUpdate))
    ] == [
        ("job", 0),
        ("step", 1),
        ("job", 1),
        ("step", 2),
    ]
    assert (job.status, job.last_seq) == ("succeeded", 2)
    assert service.asked == ["0", "1"]
    assert [body.closed for body in service.bodies] == [True, True]
    twin_service = Streaming()
    async with asynchronous(twin_service) as twin:
        twin_job = await twin.jobs.retrieve("ftjob-1")
        assert [update.type async for update in twin_job.stream()] == [update.type for update in updates]
    assert (twin_job.status, twin_job.last_seq) == ("succeeded", 2)
    assert [body.closed for body in twin_service.bodies] == [True, True]


async def test_who_leaves_a_stream_leaves_no_connection_open() -> None:
    service = Streaming()
    with blocking(service) as client, closing(client.jobs.retrieve("ftjob-1").stream()) as stream:
        next(stream)
    assert service.bodies[0].closed
    twin_service = Streaming()
    async with asynchronous(twin_service) as twin:
        async with aclosing((await twin.jobs.retrieve("ftjob-1")).stream()) as twin_stream:
            await anext(twin_stream)
        assert twin_service.bodies[0].closed


async def test_a_stream_that_is_no_stream_is_told() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=JOB)

    with blocking(handler) as client, pytest.raises(UnexpectedAnswer, match="text/event-stream"):
        list(client.jobs.retrieve("ftjob-1").stream())


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
