"""What a type checker knows of the clients; `make check` holds each line to it, its errors too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import assert_type

import httpx2
import pytest
from isthmus import AsyncJob, Isthmus, Job, JobUpdate
from isthmus.types.files import File
from isthmus.types.stream import Happening

from tests.unit.client.clients import FILE, JOB, asynchronous, blocking


def answers(request: httpx2.Request) -> httpx2.Response:
    """A job, a list of one, or a file."""
    if request.url.path.startswith("/v1/files"):
        return httpx2.Response(200, json=FILE)
    if request.method == "GET" and request.url.path.endswith("/jobs"):
        return httpx2.Response(200, json={"data": [JOB], "has_more": False})
    return httpx2.Response(200, json=JOB)


def test_the_blocking_client_is_typed() -> None:
    with blocking(answers) as client:
        assert_type(client, Isthmus)
        assert_type(client.files.retrieve("file-1"), File)
        job = client.jobs.create(model="tiny", training_file="file-1", ist={"policy": "lisa"})
        assert_type(job, Job)
        assert_type(job.refresh(), Job)
        assert_type(job.stream(), Generator[JobUpdate[Job] | Happening, None, None])
        for listed in client.jobs.list(state=["queued"]):
            assert_type(listed, Job)


async def test_the_asynchronous_client_is_typed() -> None:
    async with asynchronous(answers) as client:
        assert_type(await client.files.retrieve("file-1"), File)
        job = await client.jobs.create(model="tiny", training_file="file-1", ist=None)
        assert_type(job, AsyncJob)
        assert_type(job.stream(), AsyncGenerator[JobUpdate[AsyncJob] | Happening, None])
        async for listed in client.jobs.list(limit=5):
            assert_type(listed, AsyncJob)


def test_what_is_misspelt_is_found_before_it_runs() -> None:
    with blocking(answers) as client:
        client.jobs.create(model="tiny")  # type: ignore[call-arg]
        client.jobs.create(model="tiny", training_file="file-1", rank=4)  # type: ignore[call-arg]
        client.jobs.create(model="tiny", training_file="file-1", ist={"policy": "best"})  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            client.files.create("train.jsonl")  # type: ignore[call-arg]
        with pytest.raises(AttributeError):
            _ = client.job  # type: ignore[attr-defined]
