"""`python -m api --workers 2`: several processes share a port, the streams, the numbers and the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.contract.conftest import Service
from tests.contract.streams import (
    following,
    numbers,
    reading,
    receive,
    to_the_end,
    until_end,
    until_watched_by,
)
from tests.contract.test_process import GRACE_SECONDS, Process, answers, running
from tests.contract.worker import Run

STREAMS = 12


@pytest.fixture
def process(service: Service, tmp_path: Path) -> Iterator[Process]:
    with running(service, tmp_path, grace_seconds=5, extra={"ISTHMUS_API_WORKERS": "2"}) as process:
        yield process


def workers(process: Process) -> list[int]:
    """The processes that serve: the parent's children that have the port open."""
    children = Path(f"/proc/{process.child.pid}/task/{process.child.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def requests_counted(process: Process) -> float:
    text = httpx.get(f"{process.service.url}/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "isthmus_http_requests_total" and sample.labels["route"] == "/v1/models"
    )


def test_all_follow_a_job_and_their_numbers_add_up(process: Process) -> None:
    assert len(workers(process)) == 2
    run = Run(process.service, process.service.create_job())
    with ExitStack() as stack:
        sockets: list[ClientConnection] = [
            stack.enter_context(following(process.service, run.job_id)) for _ in range(STREAMS)
        ]
        for socket in sockets:
            assert receive(socket)["type"] == "job"
        until_watched_by(process.service, STREAMS)
        for _ in range(10):
            with process.service.http() as http:
                http.get("/v1/models")
        assert requests_counted(process) == 10
        run.steps(1, 5)
        run.succeed()
        told = [numbers(to_the_end(socket)) for socket in sockets]
    assert all(seqs == told[0] for seqs in told)
    until_watched_by(process.service, 0)


def test_a_killed_worker_is_replaced_and_its_readers_go_on(process: Process) -> None:
    run = Run(process.service, process.service.create_job())
    with ExitStack() as stack:
        sockets = [stack.enter_context(following(process.service, run.job_id)) for _ in range(STREAMS)]
        run.steps(1, 3)
        taken = []
        for socket in sockets:
            frames = [receive(socket)]
            while not (frames[-1]["type"] == "step" and frames[-1]["data"]["step"] == 3):
                frames.append(receive(socket))
            taken.append(numbers(frames))
        for pid in workers(process):
            os.kill(pid, signal.SIGKILL)
        for socket in sockets:
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=10)
    run.steps(4, 5)
    run.succeed()
    while not answers(process.service):
        time.sleep(0.1)
    with reading("websocket", process.service, run.job_id, taken[0][-1]) as rest:
        resumed = numbers(until_end(rest))
    with reading("events", process.service, run.job_id) as whole:
        assert [*taken[0], *resumed] == numbers(until_end(whole))
    until_watched_by(process.service, 0)


def test_sigterm_ends_streams_of_both_kinds_and_all_processes(process: Process) -> None:
    run = Run(process.service, process.service.create_job())
    children = workers(process)
    with (
        following(process.service, run.job_id) as socket,
        reading("events", process.service, run.job_id) as frames,
    ):
        assert receive(socket)["type"] == next(frames)["type"] == "job"
        began = time.monotonic()
        process.end()
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(timeout=10)
        assert socket.close_code == 1012
        assert not [frame for frame in frames if frame["type"] == "end"]
    process.child.wait(timeout=GRACE_SECONDS)
    assert time.monotonic() - began < 5, "it waited for the streams"
    assert process.child.returncode == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert not [line for line in process.lines() if line["level"] in ("error", "critical")]


def test_workers_do_not_outlive_a_killed_parent(process: Process) -> None:
    children = workers(process)
    process.child.kill()
    deadline = time.monotonic() + GRACE_SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "its children still serve"
        time.sleep(0.1)
