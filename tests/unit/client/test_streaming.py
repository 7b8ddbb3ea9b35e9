"""A job's stream as both clients read it: through a break, left early, and of the wrong kind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any

import httpx2
import pytest
from isthmus import JobUpdate, StepUpdate, UnexpectedAnswer

from tests.unit.client.clients import JOB, asynchronous, blocking


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
