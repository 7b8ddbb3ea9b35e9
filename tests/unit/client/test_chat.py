"""A conversation's answer: chunk by chunk, refused before or in the middle, broken off."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from isthmus.core.chat import PATH, chunks, whole
from isthmus.errors import ConnectionFailed, RateLimited, ServerError, UnexpectedAnswer
from isthmus.types.chat import ChatParams

from tests.unit.client.clients import both
from tests.unit.client.script import Connection, Piece, Script, answer, refusal, retries

PARAMS: ChatParams = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}
USAGE = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
WHOLE = {
    "id": "chatcmpl-1",
    "created": 1,
    "model": "tiny",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"},
    ],
    "usage": USAGE,
}


def chunk(text: str | None, **more: Any) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return json.dumps({"id": "chatcmpl-1", "created": 1, "model": "tiny", "choices": [choice], **more})


def error(kind: str, code: str) -> str:
    return json.dumps({"error": {"message": "no", "type": kind, "param": None, "code": code}})


def test_chunks_are_told_one_by_one() -> None:
    pieces = [chunk("Hi"), chunk(" you"), chunk(None, choices=[], usage=USAGE), "[DONE]"]
    script = Script([Connection(answer(), pieces)])
    script.run(chunks(PARAMS, retries()))
    assert [piece.text for piece in script.emitted] == ["Hi", " you", ""]
    assert script.emitted[-1].usage.total_tokens == 3
    (request,) = script.requests
    assert request.path == PATH
    assert request.json == {**PARAMS, "stream": True, "stream_options": {"include_usage": True}}


def test_a_full_queue_is_waited_for() -> None:
    busy = refusal(429, "queue_full", retry_after="5")
    script = Script([busy, Connection(answer(), [chunk("Hi"), "[DONE]"])])
    script.run(chunks(PARAMS, retries()))
    assert [piece.text for piece in script.emitted] == ["Hi"]
    assert script.sleeps == [pytest.approx(5.05)]
    with pytest.raises(RateLimited) as refused:
        Script([busy]).run(chunks(PARAMS, retries(0)))
    assert refused.value.retry_after == 5


def test_an_answer_that_breaks_off_is_not_asked_again() -> None:
    ends: list[list[Piece]] = [[], [ConnectionFailed("reset")]]
    for end in ends:
        pieces = [chunk("Hi"), *end]
        script = Script([Connection(answer(), pieces)])
        with pytest.raises(ConnectionFailed):
            script.run(chunks(PARAMS, retries()))
        assert [piece.text for piece in script.emitted] == ["Hi"]


def test_an_error_in_the_middle_is_raised() -> None:
    script = Script([Connection(answer(), [chunk("Hi"), error("server_error", "inference_lost")])])
    with pytest.raises(ServerError) as raised:
        script.run(chunks(PARAMS, retries()))
    assert raised.value.code == "inference_lost"
    assert len(script.emitted) == 1


def test_another_shape_is_no_chunk() -> None:
    for text in ("{", "[]", '{"id": 1}'):
        with pytest.raises(UnexpectedAnswer, match="holds no chunk"):
            Script([Connection(answer(), [text])]).run(chunks(PARAMS, retries()))


async def test_a_whole_answer_comes_to_both_clients() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert json.loads(request.read()) == PARAMS
        return httpx2.Response(200, json=WHOLE)

    for found in await both(handler, lambda client: client.chat.create(**PARAMS)):
        assert (found.text, found.usage.total_tokens) == ("Hi", 3)
        assert found.choices[0].finish_reason == "stop"


def test_a_whole_answer_may_take_long() -> None:
    assert (whole(PARAMS).read_timeout or 0) >= 300
