"""Many readers of one job: all see the same, and a slow one is cut off without holding up anybody."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api import event_stream, server, stream
from tests.contract.conftest import Service, serving
from tests.contract.streams import (
    BEARER,
    TRANSPORTS,
    Frame,
    Transport,
    numbers,
    reading,
    receive,
    until_end,
    until_watched_by,
)
from tests.contract.worker import Run

NEVER = 600.0
TINY_WINDOW = 4096


@contextmanager
def narrow(service: Service) -> Iterator[socket.socket]:
    """A connection that holds little of what is not read."""
    url = httpx.URL(service.url)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY_WINDOW)
        raw.connect((url.host, url.port))
        yield raw


def loud_job(service: Service) -> Run:
    """A job with more to tell than the buffers between two processes hold."""
    run = Run(service, service.create_job())
    for n in range(40):
        run.say(f"{n} {secrets.token_hex(200_000)}", ping=False)
    return run


def whole(transport: Transport, service: Service, job_id: str) -> list[Frame]:
    with reading(transport, service, job_id) as frames:
        return [frame for frame in until_end(frames) if frame["type"] != "job"]


def test_all_who_watch_see_the_same(service: Service) -> None:
    run = Run(service, service.create_job())
    with ThreadPoolExecutor(12) as readers:
        told = [readers.submit(whole, TRANSPORTS[n % 2], service, run.job_id) for n in range(12)]
        for step in range(1, 41):
            run.steps(step, step)
            if step % 10 == 0:
                run.checkpoint(step)
        run.succeed()
        streams = [stream.result(timeout=30) for stream in told]
    assert streams[0] == whole("websocket", service, run.job_id)
    assert all(frames == streams[0] for frames in streams)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_that_takes_nothing_holds_up_nobody(
    service: Service, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", NEVER)
    monkeypatch.setattr(event_stream, "SEND_SECONDS", NEVER)
    run = loud_job(service)
    with narrow(service) as raw:
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = f"{upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if transport == "websocket" else ""
        head = f"GET /v1/fine_tuning/jobs/{run.job_id}/stream HTTP/1.1\r\nHost: x\r\n{key}"
        raw.sendall(f"{head}Authorization: {BEARER['Authorization']}\r\n\r\n".encode())
        assert raw.recv(12) in (b"HTTP/1.1 101", b"HTTP/1.1 200")
        with reading(transport, service, run.job_id) as frames:
            run.say("the last one")
            assert any(frame["data"].get("message") == "the last one" for frame in frames)
            run.succeed()
            assert until_end(frames)


def test_a_slow_websocket_is_cut_off_with_its_cursor(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.3)
    run = loud_job(service)
    run.succeed()
    everything = numbers(whole("websocket", service, run.job_id))
    address = f"{service.websocket}/v1/fine_tuning/jobs/{run.job_id}/stream"
    with (
        narrow(service) as raw,
        connect(address, sock=raw, additional_headers=BEARER, max_queue=1, max_size=None) as slow,
    ):
        assert receive(slow)["type"] == "job"
        until_watched_by(service, 0)
        frames: list[Frame] = []
        with pytest.raises(ConnectionClosed):
            while True:
                frames.append(receive(slow))
        taken = numbers(frames)
        assert slow.close_code == 1013
        told = re.search(r"after=(\d+)$", slow.close_reason or "")
    assert told is not None
    assert int(told[1]) == taken[-1]
    assert len(taken) < len(everything)
    with reading("websocket", service, run.job_id, int(told[1])) as rest:
        assert taken + numbers(until_end(rest)) == everything


def test_slow_events_are_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SEND_SECONDS", 0.3)
    run = loud_job(service)
    run.succeed()
    with narrow(service) as raw:
        raw.sendall(
            f"GET /v1/fine_tuning/jobs/{run.job_id}/stream HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {BEARER['Authorization']}\r\n\r\n".encode()
        )
        raw.settimeout(10)
        assert raw.recv(12) == b"HTTP/1.1 200"
        until_watched_by(service, 0)
        size = 0
        try:
            while part := raw.recv(65536):
                size += len(part)
        except ConnectionResetError:
            pass  # dropped with what was buffered
    assert size < 40 * 400_000


def test_a_websocket_that_answers_no_ping_is_dropped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.2)
    run = Run(service, service.create_job())
    address = f"/v1/fine_tuning/jobs/{run.job_id}/stream"
    with (
        serving(service.settings) as quick,
        connect(f"{quick.websocket}{address}", additional_headers=BEARER) as live,
        narrow(quick) as raw,
    ):
        raw.sendall(
            f"GET {address} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Authorization: {BEARER['Authorization']}\r\n\r\n".encode()
        )
        raw.settimeout(10)
        received = b""
        while part := raw.recv(65536):
            received += part
        assert b"keepalive ping timeout" in received
        run.say("to the living")
        assert any(receive(live)["data"].get("message") == "to the living" for _ in range(20))
        run.cancelled()
