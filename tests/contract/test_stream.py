"""The live stream: replay, then follow; nothing lost and nothing twice."""

from __future__ import annotations

import itertools
import json
import random
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from api import stream
from tests.contract.conftest import KEY, LAYERS, Service
from tests.contract.worker import TOTAL, Run

BEARER = {"Authorization": f"Bearer {KEY}"}
Frame = dict[str, Any]


@contextmanager
def following(
    service: Service, job_id: str, after: object = None, headers: dict[str, str] | None = None
) -> Iterator[ClientConnection]:
    query = "" if after is None else f"?after={after}"
    address = f"{service.websocket}/v1/fine_tuning/jobs/{job_id}/stream{query}"
    with connect(address, additional_headers=BEARER if headers is None else headers) as socket:
        yield socket


def receive(socket: ClientConnection) -> Frame:
    frame: Frame = json.loads(socket.recv(timeout=10))
    return frame


def to_the_end(socket: ClientConnection) -> list[Frame]:
    frames = [json.loads(text) for text in socket]
    assert socket.close_code == 1000
    assert frames[-1] == {"type": "end"}
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [frame["seq"] for frame in frames if frame["type"] in ("event", "step")]


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    """A job that has succeeded after 20 steps."""
    job_id = service.create_job()
    run = Run(service, job_id)
    run.steps(1, 10)
    run.say("half")
    run.steps(11, TOTAL)
    run.succeed()
    return job_id


def test_a_finished_job_is_replayed_whole(service: Service, finished: str) -> None:
    with following(service, finished) as socket:
        frames = to_the_end(socket)
    assert (frames[0]["type"], frames[0]["seq"], frames[0]["data"]["id"]) == ("job", 0, finished)
    seqs = numbers(frames)
    assert seqs == list(range(1, seqs[-1] + 1))
    steps = [frame["data"] for frame in frames if frame["type"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, TOTAL + 1))
    assert set(steps[0]) == {"step", "time", "metrics", "importance", "active", "probabilities"}
    assert len(steps[0]["importance"]) == LAYERS
    # queued, running, succeeded: a job frame right after each event that changed the state
    after_change = [
        (frame["seq"], following["type"], following["seq"])
        for frame, following in itertools.pairwise(frames)
        if frame["type"] == "event" and "state" in frame["data"]["data"]
    ]
    assert len(after_change) == 3
    assert all(kind == "job" and seq == own for own, kind, seq in after_change)
    assert frames[-2]["data"]["state"] == "succeeded"


def test_every_cursor_resumes_exactly(service: Service, finished: str) -> None:
    with following(service, finished) as socket:
        whole = numbers(to_the_end(socket))
    for cursor in (0, 1, 5, 13, whole[-2], whole[-1]):
        with following(service, finished, cursor) as socket:
            frames = to_the_end(socket)
        assert frames[0]["seq"] == cursor
        assert numbers(frames) == [seq for seq in whole if seq > cursor]


def test_pages_join_without_a_seam(service: Service, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with following(service, finished) as socket:
        whole = to_the_end(socket)
    for size in (1, 7, len(numbers(whole))):
        monkeypatch.setattr(stream, "PAGE", size)
        with following(service, finished) as socket:
            assert numbers(to_the_end(socket)) == numbers(whole)


def test_what_happens_is_followed_live(service: Service) -> None:
    job_id = service.create_job()
    with following(service, job_id) as socket:
        assert receive(socket)["data"]["state"] == "queued"
        assert [receive(socket)["type"] for _ in range(4)] == ["event", "job"] * 2
        run = Run(service, job_id)
        assert receive(socket)["data"]["message"] == "Fine-tuning job started"
        assert receive(socket)["data"]["state"] == "running"
        assert "4 layers" in receive(socket)["data"]["message"]
        assert receive(socket)["data"]["layers"] == 4
        for step in (1, 2, 3):
            run.steps(step, step)
            assert receive(socket)["data"]["step"] == step
        service.client.fine_tuning.jobs.cancel(job_id)
        assert receive(socket)["data"]["message"] == "Cancel requested"
        assert receive(socket)["data"]["state"] == "cancelling"
        run.cancelled()
        frames = to_the_end(socket)
    assert [frame["type"] for frame in frames] == ["event", "job", "end"]
    assert frames[1]["data"]["status"] == "cancelled"


def test_a_lost_ping_loses_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.05)
    job_id = service.create_job()
    run = Run(service, job_id)
    with following(service, job_id) as socket:
        while receive(socket)["data"].get("message", "")[:8] != "Training":
            pass
        assert receive(socket)["type"] == "job"
        run.say("nobody was told", ping=False)
        assert receive(socket)["data"]["message"] == "nobody was told"


def test_random_disconnects_lose_nothing_and_show_nothing_twice(service: Service) -> None:
    """A writer goes on while readers break off at random and come back with their cursors."""
    job_id = service.create_job()
    chance = random.Random(5)  # noqa: S311  # any sequence will do
    run = Run(service, job_id)

    def write() -> None:
        for step in range(1, 61):
            run.steps(step, step)
            if step % 7 == 0:
                run.say(f"after {step}")
        run.succeed()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    steps: list[int] = []
    ended = False
    while not ended:
        with following(service, job_id, seen[-1] if seen else 0) as socket:
            for _ in range(chance.randint(1, 12)):
                frame = receive(socket)
                ended = frame["type"] == "end"
                if ended:
                    break
                if frame["type"] in ("event", "step"):
                    seen.append(frame["seq"])
                if frame["type"] == "step":
                    steps.append(frame["data"]["step"])
    writer.join()
    assert steps == list(range(1, 61))
    assert seen == list(range(1, seen[-1] + 1))


@pytest.mark.parametrize(
    ("path", "headers", "close_code", "code"),
    [
        ("{job}/stream", {}, 4401, "invalid_api_key"),
        ("{job}/stream", {"Authorization": "Bearer wrong"}, 4401, "invalid_api_key"),
        ("ftjob-none/stream", BEARER, 4404, "job_not_found"),
        ("a%00b/stream", BEARER, 4404, "job_not_found"),
        ("{job}/stream?after=-1", BEARER, 4400, "invalid_value"),
        ("{job}/stream?after=x", BEARER, 4400, "invalid_value"),
        ("{job}/stream?after=99999999999999999999", BEARER, 4400, "invalid_value"),
        ("{job}/stream?after=9999", BEARER, 4400, "unknown_cursor"),
    ],
)
def test_a_refused_stream_says_why(
    service: Service, finished: str, path: str, headers: dict[str, str], close_code: int, code: str
) -> None:
    address = f"{service.websocket}/v1/fine_tuning/jobs/{path.format(job=finished)}"
    with connect(address, additional_headers=headers) as socket:
        frame = receive(socket)
        assert (frame["type"], frame["error"]["code"]) == ("error", code)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
        assert socket.close_code == close_code


def test_a_cookie_opens_the_stream_from_the_own_page_only(service: Service, finished: str) -> None:
    with httpx.Client(base_url=service.url) as page:
        page.post("/session", json={"key": KEY})
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in page.cookies.items())}
    with following(service, finished, headers={**cookie, "Origin": service.url}) as socket:
        to_the_end(socket)
    for foreign in ({}, {"Origin": "https://evil.example"}):
        with following(service, finished, headers={**cookie, **foreign}) as socket:
            assert receive(socket)["error"]["code"] == "cross_origin"
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=10)
            assert socket.close_code == 4403


def test_a_slow_reader_is_cut_off_and_holds_up_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.3)
    job_id = service.create_job()
    run = Run(service, job_id)
    for n in range(40):
        run.say(f"{n} {secrets.token_hex(200_000)}", ping=False)  # does not compress away
    run.succeed()
    host, port = service.url.removeprefix("http://").split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    address = f"{service.websocket}/v1/fine_tuning/jobs/{job_id}/stream"
    with connect(address, sock=raw, additional_headers=BEARER, max_queue=1, max_size=None) as slow:
        assert receive(slow)["type"] == "job"
        with connect(address, additional_headers=BEARER, max_size=None) as quick:
            whole = numbers(to_the_end(quick))
        # Nothing was taken for longer than a send may last: only what was buffered still comes.
        frames: list[Frame] = []
        with pytest.raises(ConnectionClosed):
            threading.Event().wait(1.0)
            while True:
                frames.append(receive(slow))
        assert slow.close_code != 1000
    taken = numbers(frames)
    assert taken == whole[: len(taken)]
    assert len(taken) < len(whole)
    with connect(f"{address}?after={taken[-1]}", additional_headers=BEARER, max_size=None) as again:
        assert taken + numbers(to_the_end(again)) == whole
