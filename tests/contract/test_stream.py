"""The live stream over both transports: replay, then follow; what is refused, and why."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api import event_stream, feed, history, job_reader
from store.steps import append_steps
from tests.contract.conftest import KEY, LAYERS, Service, serving, step_record
from tests.contract.errors import check_error
from tests.contract.streams import (
    BEARER,
    TRANSPORTS,
    Frame,
    Transport,
    events,
    following,
    numbers,
    parse,
    reading,
    receive,
    to_the_end,
    until_end,
)
from tests.contract.tenants import join
from tests.contract.worker import TOTAL, Run


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each test that asks for it runs over both."""
    chosen: Transport = request.param
    return chosen


@pytest.fixture(scope="module")
def finished(service: Service) -> str:
    """A job that has succeeded after 20 steps, with a checkpoint at the tenth."""
    job_id = service.create_job()
    run = Run(service, job_id)
    run.steps(1, 10)
    run.checkpoint(10)
    run.steps(11, TOTAL)
    run.succeed()
    return job_id


def read(transport: Transport, service: Service, job_id: str, after: int = 0) -> list[Frame]:
    with reading(transport, service, job_id, after) as frames:
        return until_end(frames)


def test_a_finished_job_is_replayed_whole(service: Service, finished: str, transport: Transport) -> None:
    frames = read(transport, service, finished)
    assert (frames[0]["type"], frames[0]["seq"], frames[0]["data"]["id"]) == ("job", 0, finished)
    assert frames[0]["data"]["state"] == "succeeded"
    seqs = numbers(frames)
    assert seqs == list(range(1, seqs[-1] + 1))
    steps = [frame["data"] for frame in frames if frame["type"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, TOTAL + 1))
    assert set(steps[0]) == {"step", "time", "metrics", "importance", "active", "probabilities"}
    assert len(steps[0]["importance"]) == LAYERS


def test_both_transports_tell_the_same(service: Service, finished: str, transport: Transport) -> None:
    other = TRANSPORTS[1 - TRANSPORTS.index(transport)]
    assert read(transport, service, finished, 3) == read(other, service, finished, 3)


def test_a_checkpoint_comes_typed_before_its_event(
    service: Service, finished: str, transport: Transport
) -> None:
    frames = read(transport, service, finished)
    ((checkpoint, event),) = [pair for pair in itertools.pairwise(frames) if pair[0]["type"] == "checkpoint"]
    assert (event["type"], event["seq"]) == ("event", checkpoint["part_of"])
    assert event["data"]["data"]["checkpoint"] == checkpoint["data"]["id"]
    assert checkpoint["data"]["step_number"] == 10
    with service.http() as http:
        listed = http.get(f"/v1/fine_tuning/jobs/{finished}/checkpoints").json()["data"]
    assert listed == [checkpoint["data"]]


def test_an_evaluation_comes_typed_before_its_step(service: Service, transport: Transport) -> None:
    run = Run(service, service.create_job())
    plain, measured = step_record(1), step_record(2)
    told = {
        "full_valid_loss": 0.75,
        "full_valid_mean_token_accuracy": 0.125,
        "full_valid_reward_accuracy": 1.0,
        "probe_loss": 0.25,
        "valid_loss": 0.5,
        "valid_mean_token_accuracy": 0.375,
        "valid_reward_accuracy": 0.625,
    }
    measured.metrics.update(told)
    with service.database.session() as session:
        assert append_steps(session, run.job_id, run.attempt, [plain, measured])
    run.cancelled()
    frames = read(transport, service, run.job_id)
    ((evaluation, step),) = [pair for pair in itertools.pairwise(frames) if pair[0]["type"] == "evaluation"]
    assert (step["type"], step["seq"], step["data"]["step"]) == ("step", evaluation["part_of"], 2)
    assert evaluation["data"] == {
        "step": 2,
        "time": step["data"]["time"],
        "metrics": told,
    }


def test_every_cursor_resumes_exactly(service: Service, finished: str, transport: Transport) -> None:
    whole = numbers(read(transport, service, finished))
    for cursor in (1, 5, 13, whole[-2], whole[-1]):
        frames = read(transport, service, finished, cursor)
        assert frames[0]["seq"] == cursor
        assert numbers(frames) == [seq for seq in whole if seq > cursor]


def test_pages_join_without_a_seam(
    service: Service, finished: str, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    whole = read(transport, service, finished)
    for size in (1, 7, len(numbers(whole))):
        monkeypatch.setattr(job_reader, "PAGE", size)
        monkeypatch.setattr(history, "PAGE", size)
        with serving(service.settings) as small:
            assert read(transport, small, finished) == whole


def test_what_happens_is_followed_live(service: Service, transport: Transport) -> None:
    job_id = service.create_job()
    with reading(transport, service, job_id) as frames:
        assert next(frames)["data"]["state"] == "queued"
        assert [next(frames)["type"] for _ in range(2)] == ["event"] * 2
        run = Run(service, job_id)
        assert next(frames)["data"]["message"] == "Fine-tuning job started"
        # One job frame may tell of both the claim and the start.
        started = next(frame["data"] for frame in frames if frame["data"].get("layers") == LAYERS)
        assert started["state"] == "running"
        for step in (1, 2, 3):
            run.steps(step, step)
            assert next(frames)["data"]["step"] == step
        service.client.fine_tuning.jobs.cancel(job_id)
        assert next(frames)["data"]["message"] == "Cancel requested"
        assert next(frames)["data"]["state"] == "cancelling"
        run.cancelled()
        rest = until_end(frames)
    assert [frame["type"] for frame in rest] == ["event", "job", "end"]
    assert rest[1]["data"]["status"] == "cancelled"
    assert rest[1]["seq"] == rest[0]["seq"]


def test_a_lost_ping_loses_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)
    run = Run(service, service.create_job())
    with reading(transport, service, run.job_id) as frames:
        assert next(frames)["data"]["state"] == "running"
        run.say("nobody was told", ping=False)
        assert any(frame["data"].get("message") == "nobody was told" for frame in frames)


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
def test_a_refused_websocket_says_why(
    service: Service,
    finished: str,
    path: str,
    headers: dict[str, str],
    close_code: int,
    code: str,
) -> None:
    address = f"{service.websocket}/v1/fine_tuning/jobs/{path.format(job=finished)}"
    with connect(address, additional_headers=headers) as socket:
        frame = receive(socket)
        assert (frame["type"], frame["error"]["code"]) == ("error", code)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
        assert socket.close_code == close_code


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("{job}/stream", {"Authorization": "Bearer wrong"}, 401, "invalid_api_key"),
        ("ftjob-none/stream", {}, 404, "job_not_found"),
        ("{job}/stream?after=-1", {}, 400, "invalid_value"),
        ("{job}/stream?after=9999", {}, 400, "unknown_cursor"),
        ("{job}/stream", {"Last-Event-ID": "9999"}, 400, "unknown_cursor"),
        ("{job}/stream", {"Last-Event-ID": "9" * 19}, 400, "invalid_value"),
        ("{job}/stream", {"Last-Event-ID": "x"}, 400, "invalid_value"),
    ],
)
def test_refused_events_are_an_ordinary_error(
    service: Service,
    finished: str,
    path: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    with service.http(**headers) as http:
        answer = http.get(f"/v1/fine_tuning/jobs/{path.format(job=finished)}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == code


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


def test_a_revoked_key_ends_its_streams_and_no_others(service: Service, transport: Transport) -> None:
    owner = join(service)
    guest = join(service, "read", project_id=owner.project_id)
    run = Run(owner.service, owner.service.create_job())
    with (
        reading(transport, replace(service, key=guest.service.key), run.job_id) as lost,
        reading(transport, owner.service, run.job_id) as kept,
    ):
        assert next(lost)["type"] == next(kept)["type"] == "job"
        guest.revoke()
        run.say("a secret")
        taken = list(itertools.takewhile(lambda frame: frame["type"] != "error", lost))
        assert "a secret" not in json.dumps(taken)
        assert any(frame["data"].get("message") == "a secret" for frame in kept)
        run.cancelled()
        assert until_end(kept)


def test_events_have_what_an_event_source_needs(service: Service, finished: str) -> None:
    with events(service, finished) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
        told = list(parse(answer))
    assert [identifier for identifier, frame in told if "seq" in frame and frame["type"] != "job"] == [
        str(seq) for seq in numbers([frame for _, frame in told])
    ]
    assert all(identifier is None for identifier, frame in told if frame["type"] in ("job", "checkpoint"))
    assert told[-1] == ("end", {"type": "end"})
    with service.http(**{"Last-Event-ID": "end"}) as http:
        assert http.get(f"/v1/fine_tuning/jobs/{finished}/stream").status_code == 204


def test_a_silent_stream_is_kept_open_by_comments(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.05)
    run = Run(service, service.create_job())
    with events(service, run.job_id) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        assert len([line for line in itertools.islice(lines, 60) if line.startswith(":")]) >= 10
        run.cancelled()
        assert [line for line in lines if line == "event: end"]


def test_a_stream_of_another_project_is_none(service: Service, finished: str, transport: Transport) -> None:
    stranger = join(service).service
    if transport == "events":
        with stranger.http() as http:
            answer = http.get(f"/v1/fine_tuning/jobs/{finished}/stream")
        check_error(answer, 404, code="job_not_found", param="job_id")
        return
    with following(service, finished, headers={"Authorization": f"Bearer {stranger.key}"}) as socket:
        assert receive(socket)["error"]["code"] == "job_not_found"
