"""`isthmus chat`: one message or a conversation, with one model or two, against a scripted service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.unit.client.cli.commands import Scripted, refusal

ROUTE = "POST /v1/chat/completions"
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def chunk(text: str | None, finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], **more}
    return f"data: {json.dumps(body)}\n\n"


def written(*texts: str) -> str:
    pieces = "".join(map(chunk, texts)) + chunk(None, "stop") + chunk(None, choices=[], usage=USAGE)
    return pieces + "data: [DONE]\n\n"


def echo(request: httpx2.Request) -> httpx2.Response:
    """Say which model answers, and what it was told last."""
    body = json.loads(request.read())
    events = written(f"{body['model']} heard ", body["messages"][-1]["content"])
    return httpx2.Response(200, text=events, headers={"content-type": "text/event-stream"})


def test_one_message_gets_one_answer() -> None:
    service = Scripted({ROUTE: echo})
    options = ["--system", "Be brief.", "--temperature", "0", "--max-tokens", "9", "--seed", "1"]
    result = service.run("chat", "ft:tiny:a", "-m", "Hello", *options)
    assert (result.exit_code, result.stdout) == (0, "ft:tiny:a heard Hello\n")
    body = service.body()
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0, 9, 1)


def test_two_models_are_compared() -> None:
    service = Scripted({ROUTE: echo})
    result = service.run("chat", "tuned", "--compare", "base", "-m", "Hello")
    assert result.stdout == "tuned:\ntuned heard Hello\nbase:\nbase heard Hello\n"
    lines = service.run("chat", "tuned", "--compare", "base", "-m", "Hello", "--json").stdout.splitlines()
    told = {"content": "tuned heard Hello", "finish_reason": "stop", "model": "tuned", "usage": USAGE}
    assert json.loads(lines[0]) == told
    assert json.loads(lines[1])["model"] == "base"


def test_a_conversation_remembers_until_it_is_cleared() -> None:
    service = Scripted({ROUTE: echo})
    result = service.run("chat", "tiny", stdin="one\n\ntwo\n/clear\nthree\n")
    assert result.stdout.splitlines() == ["tiny heard one", "tiny heard two", "tiny heard three"]
    said = [[message["content"] for message in service.body(index)["messages"]] for index in range(3)]
    assert said == [["one"], ["one", "tiny heard one", "two"], ["three"]]


def test_a_conversation_outlasts_a_refusal() -> None:
    service = Scripted({ROUTE: [refusal(400, "context_length_exceeded", "too long"), echo]})
    result = service.run("chat", "tiny", stdin="one\ntwo\n")
    assert result.exit_code == 0
    assert "too long" in result.stderr
    assert result.stdout.splitlines()[-1] == "tiny heard two"
    assert [message["content"] for message in service.body()["messages"]] == ["two"]


def test_an_unknown_model_ends_it() -> None:
    service = Scripted({ROUTE: refusal(404, "model_not_found", "No such model: x")})
    result = service.run("chat", "x", stdin="one\ntwo\n")
    assert (result.exit_code, len(service.seen)) == (3, 1)
    assert "No such model: x" in result.stderr


def test_what_a_model_writes_does_not_control_the_terminal() -> None:
    events = httpx2.Response(200, text=written("\x1b[2Jhi"), headers={"content-type": "text/event-stream"})
    service = Scripted({ROUTE: lambda _: events})
    assert service.run("chat", "tiny", "-m", "x").stdout == "[2Jhi\n"


class Interrupted(httpx2.SyncByteStream):
    """An answer in whose middle somebody presses Ctrl-C."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield chunk("half an").encode()
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("message", [["-m", "one"], []])
def test_ctrl_c_stops_the_answer(message: list[str]) -> None:
    stream = Interrupted()
    broken = httpx2.Response(200, stream=stream, headers={"content-type": "text/event-stream"})
    service = Scripted({ROUTE: [lambda _: broken, echo]})
    result = service.run("chat", "tiny", *message, stdin="one\ntwo\n")
    assert stream.closed
    assert "stopped" in result.stderr
    if message:
        assert (result.exit_code, result.stdout) == (130, "half an\n")
        return
    assert result.stdout.splitlines() == ["half an", "tiny heard two"]
    assert [said["content"] for said in service.body()["messages"]] == ["one", "half an", "two"]
