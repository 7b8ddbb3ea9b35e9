"""A job's stream as its readers see it, over either transport."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.contract.conftest import KEY, Service

BEARER = {"Authorization": f"Bearer {KEY}"}
Frame = dict[str, Any]
Transport = Literal["websocket", "events"]
TRANSPORTS: tuple[Transport, ...] = ("websocket", "events")


@contextmanager
def following(
    service: Service, job_id: str, after: object = None, headers: dict[str, str] | None = None
) -> Iterator[ClientConnection]:
    """An open WebSocket."""
    query = "" if after is None else f"?after={after}"
    address = f"{service.websocket}/v1/fine_tuning/jobs/{job_id}/stream{query}"
    headers = {"Authorization": f"Bearer {service.key}"} if headers is None else headers
    with connect(address, additional_headers=headers, max_size=None) as socket:
        yield socket


@contextmanager
def events(service: Service, job_id: str, after: object = None, **headers: str) -> Iterator[httpx.Response]:
    """An answer of server-sent events, of which nothing is read yet."""
    params = {} if after is None else {"after": str(after)}
    with (
        httpx.Client(
            base_url=service.url,
            headers={"Authorization": f"Bearer {service.key}"} | headers,
            timeout=10,
            verify=False,  # noqa: S501  # plain HTTP: nothing to verify, and certificates are slow to load
        ) as http,
        http.stream("GET", f"/v1/fine_tuning/jobs/{job_id}/stream", params=params) as answer,
    ):
        yield answer


def parse(answer: httpx.Response) -> Iterator[tuple[str | None, Frame]]:
    """The events of an answer, each with its id; those without data (comments, retry) are passed over."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            frame: Frame = json.loads(fields["data"])
            assert fields["event"] == frame["type"]
            yield fields.get("id"), frame
        fields = {}


@contextmanager
def reading(
    transport: Transport, service: Service, job_id: str, after: object = 0
) -> Iterator[Iterator[Frame]]:
    """The frames of a stream; a silence of ten seconds is an error."""
    if transport == "events":
        with events(service, job_id, **({"Last-Event-ID": str(after)} if after else {})) as answer:
            assert answer.status_code == httpx.codes.OK, answer.read()
            yield (frame for _, frame in parse(answer))
        return
    with following(service, job_id, after) as socket:
        yield (json.loads(socket.recv(timeout=10)) for _ in iter(int, 1))


def receive(socket: ClientConnection) -> Frame:
    """The next frame."""
    frame: Frame = json.loads(socket.recv(timeout=10))
    return frame


def until_end(frames: Iterator[Frame]) -> list[Frame]:
    """All frames up to the last one, which says that it is the last."""
    taken = []
    for frame in frames:
        taken.append(frame)
        if frame["type"] == "end":
            break
    assert taken[-1] == {"type": "end"}
    return taken


def to_the_end(socket: ClientConnection) -> list[Frame]:
    """All frames up to the end of a WebSocket that ends well."""
    frames = [json.loads(text) for text in socket]
    assert socket.close_code == 1000
    assert frames[-1] == {"type": "end"}
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    """The cursors that the frames tell of."""
    return [frame["seq"] for frame in frames if frame["type"] in ("event", "step")]


def until_watched_by(service: Service, count: int) -> None:
    """Wait until a service has so many open streams."""
    text = ""
    for _ in range(600):
        text = httpx.get(f"{service.url}/metrics").text
        if f"\nisthmus_stream_watchers {count:.1f}\n" in text:
            return
        time.sleep(0.05)
    raise AssertionError(f"there are not {count} open streams: {text}")
