"""Chat completions between a client and a process that a test plays: queue, cancels, deaths, refusals."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import openai
import pytest

from tests.contract.conftest import Service, serving
from tests.contract.errors import check_error
from tests.contract.inference import Played, until

ROUTE = "/v1/chat/completions"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
ASKED = {"model": "tiny", "messages": HELLO}
LIMIT = 2


@pytest.fixture(scope="module")
def chat(service: Service) -> Iterator[Service]:
    """The API with a short queue."""
    with serving(service.settings.model_copy(update={"chat_queue_limit": LIMIT})) as running:
        yield running


@pytest.fixture(scope="module")
def create(chat: Service) -> Iterator[Any]:
    """`chat.completions.create` of the unmodified client."""
    with chat.client as client:
        yield client.chat.completions.create


@pytest.fixture
def played(chat: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """An inference process that is there."""
    monkeypatch.setattr("api.chat_desk.RENEW_SECONDS", 0.05)
    process = Played(chat)
    process.come()
    yield process
    process.go()
    until(lambda: process.redis.zcard(process.keys.waiting) == 0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def post(chat: Service, **body: Any) -> httpx.Response:
    with chat.http() as http:
        return http.post(ROUTE, json={**ASKED, **body}, timeout=30)


def test_an_answer_is_put_together(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    asked = pool.submit(
        create,
        model="tiny",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ],
        temperature=0,
        top_p=0.5,
        max_completion_tokens=9,
        stop="END",
        seed=3,
        n=2,
        user="me",
        metadata={"a": "b"},
    )
    order = played.take()
    assert [(turn.role, turn.content) for turn in order.messages] == [
        ("system", "Be brief."),
        ("user", "a\nb"),
    ]
    assert (order.base, order.adapter, order.max_tokens, order.seed, order.n) == ("tiny", None, 9, 3, 2)
    assert (order.temperature, order.top_p, order.stop) == (0, 0.5, ("END",))
    assert order.request_id is not None
    played.write(order, "Hel")
    played.write(order, "Good", index=1)
    played.write(order, "lo", "stop", tokens=2)
    played.write(order, "", "length", index=1, tokens=9)
    answer = asked.result()
    assert answer.id == order.id
    assert (answer.object, answer.model) == ("chat.completion", "tiny")
    said = [(choice.index, choice.message.content, choice.finish_reason) for choice in answer.choices]
    assert said == [(0, "Hello", "stop"), (1, "Good", "length")]
    assert answer.usage is not None
    used = answer.usage
    assert (used.prompt_tokens, used.completion_tokens, used.total_tokens) == (7, 11, 18)
    until(lambda: not played.is_wanted(order))


def test_a_stream_is_told_as_it_is_written(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    asked = pool.submit(
        create,
        model="tiny",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    order = played.take()
    played.write(order, "Hel")
    chunks = iter(asked.result())
    first, second = next(chunks), next(chunks)
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert second.choices[0].delta.content == "Hel"
    played.write(order, "lo", "stop", tokens=2)
    rest = list(chunks)
    assert [chunk.choices[0].delta.content for chunk in rest[:-1]] == ["lo", None]
    assert rest[-2].choices[0].finish_reason == "stop"
    assert rest[-1].choices == []
    assert rest[-1].usage is not None
    assert rest[-1].usage.total_tokens == 9
    assert {chunk.id for chunk in [first, second, *rest]} == {order.id}


def test_a_silence_is_broken_by_a_comment(
    chat: Service, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.chat_answer.PING_SECONDS", 0.05)
    with chat.http() as http, http.stream("POST", ROUTE, json={**ASKED, "stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        order = played.take()
        played.write(order, "Hi", "stop")
        data = [line for line in lines if line.startswith("data")]
    assert data[-1] == "data: [DONE]"


def test_a_full_queue_refuses_until_somebody_goes(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    waiting = [pool.submit(post, chat) for _ in range(LIMIT)]
    until(lambda: len(played.intake.waiting()) == LIMIT)
    refused = post(chat)
    check_error(refused, 429, code="queue_full", param=None)
    assert refused.headers["retry-after"] == "5"
    with pytest.raises(openai.RateLimitError):
        create(model="tiny", messages=HELLO)
    played.write(played.take(), "Hi", "stop")
    asked = pool.submit(post, chat)
    until(lambda: len(played.intake.waiting()) == LIMIT)
    for _ in range(LIMIT):
        played.write(played.take(), "Hi", "stop")
    assert {future.result().status_code for future in [*waiting, asked]} == {200}


@contextmanager
def open_stream(create: Any, played: Played, pool: ThreadPoolExecutor) -> Iterator[tuple[Any, Any]]:
    """A stream that has begun, and its order."""
    asked: Future[Any] = pool.submit(create, model="tiny", messages=HELLO, stream=True)
    order = played.take()
    played.write(order, "Hel")
    with asked.result() as stream:
        yield stream, order


def test_closing_the_stream_cancels(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    with open_stream(create, played, pool) as (stream, order):
        assert next(iter(stream)).choices[0].delta.role == "assistant"
        assert played.is_wanted(order)
    until(lambda: not played.is_wanted(order))


def test_a_client_that_goes_while_it_waits_leaves_the_queue(chat: Service, played: Played) -> None:
    with chat.http() as http, pytest.raises(httpx.ReadTimeout):
        http.post(ROUTE, json=ASKED, timeout=0.5)
    until(lambda: played.intake.waiting() == [])


async def test_the_asynchronous_client_cancels_too(chat: Service, played: Played) -> None:
    client = openai.AsyncOpenAI(base_url=f"{chat.url}/v1", api_key=chat.key, max_retries=0)
    async with client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="tiny", messages=HELLO, timeout=0.5)
    until(lambda: played.intake.waiting() == [])


def test_without_a_process_nothing_waits(chat: Service, played: Played) -> None:
    played.go()
    answer = post(chat)
    check_error(answer, 503, code="inference_unavailable", param=None)
    assert answer.headers["retry-after"] == "2"
    assert played.intake.waiting() == []


def test_a_process_that_dies_ends_what_it_had(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    whole = pool.submit(post, chat)
    played.take()
    with open_stream(create, played, pool) as (stream, order):
        played.go()
        with pytest.raises(openai.APIError) as raised:
            list(stream)
        assert raised.value.code == "inference_lost"
        until(lambda: not played.is_wanted(order))
    check_error(whole.result(), 503, code="inference_lost", param=None)


def test_one_that_waits_is_taken_by_the_next_process(
    chat: Service, played: Played, pool: ThreadPoolExecutor
) -> None:
    asked = pool.submit(post, chat)
    until(lambda: bool(played.intake.waiting()))
    played.go()
    other = Played(chat, "other")
    other.come()
    other.write(other.take(), "Hi", "stop")
    assert asked.result().json()["choices"][0]["message"]["content"] == "Hi"
    other.go()


def test_one_that_nobody_comes_for_is_told(
    chat: Service, played: Played, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.chat_desk.UNSERVED_SECONDS", 0.1)
    asked = pool.submit(post, chat)
    until(lambda: bool(played.intake.waiting()))
    played.go()
    check_error(asked.result(), 503, code="inference_unavailable", param=None)


def test_a_redis_that_forgets_ends_the_request(
    chat: Service, played: Played, pool: ThreadPoolExecutor
) -> None:
    asked = pool.submit(post, chat)
    order = played.take()
    played.redis.delete(played.keys.request(order.id))
    check_error(asked.result(), 503, code="inference_lost", param=None)


def test_what_another_version_says_ends_the_request_it_is_about(
    chat: Service, played: Played, pool: ThreadPoolExecutor
) -> None:
    asked = pool.submit(post, chat)
    order = played.take()
    played.redis.xadd(played.keys.replies(order.reply_to), {"replies": b'[{"kind": "song"}]'})
    played.write(order, "Hi", "stop", skip=1)
    check_error(asked.result(), 503, code="inference_lost", param=None)
    asked = pool.submit(post, chat)
    until(lambda: bool(played.intake.waiting()))
    (request,) = played.intake.waiting()
    played.redis.hset(played.keys.request(request.id), "order", b"{}")
    assert played.intake.claim(request) is None
    check_error(asked.result(), 503, code="inference_lost", param=None)


def test_without_redis_chat_is_away(service: Service) -> None:
    with serving(service.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})) as cut_off:
        answer = post(cut_off)
        check_error(answer, 503, code="queue_unavailable", param=None)
        assert answer.headers["retry-after"] == "2"


def test_a_lost_reply_is_noticed_and_one_that_comes_twice_is_not(
    chat: Service, played: Played, pool: ThreadPoolExecutor, create: Any
) -> None:
    whole = pool.submit(post, chat)
    order = played.take()
    played.write(order, "Hel")
    played.write(order, "Hel", skip=-1)
    played.write(order, "lo", "stop")
    assert whole.result().json()["choices"][0]["message"]["content"] == "Hello"
    with open_stream(create, played, pool) as (stream, order):
        played.write(order, "lo", "stop", skip=1)
        with pytest.raises(openai.APIError):
            list(stream)


@pytest.mark.parametrize(
    ("status", "code", "param"),
    [
        (400, "context_length_exceeded", "messages"),
        (404, "model_deleted", "model"),
        (500, "internal_error", None),
    ],
)
def test_what_the_process_refuses_is_told(
    chat: Service, played: Played, pool: ThreadPoolExecutor, status: int, code: str, param: str | None
) -> None:
    asked = pool.submit(post, chat, stream=True)
    played.refuse(played.take(), status, code, param)
    assert check_error(asked.result(), status, code=code, param=param) == "because"


def test_an_answer_that_takes_too_long_is_given_up(service: Service, played: Played) -> None:
    with serving(service.settings.model_copy(update={"chat_request_seconds": 0.2})) as hasty:
        answer = post(hasty)
        check_error(answer, 504, code="request_timeout", param=None)
        assert answer.headers["x-should-retry"] == "false"
        until(lambda: played.intake.waiting() == [])


def test_a_reader_that_takes_nothing_is_cut_off(
    chat: Service, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.chat_answer.SEND_SECONDS", 0.2)
    body = json.dumps({**ASKED, "stream": True})
    head = [f"POST {ROUTE} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {chat.key}"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    port = int(chat.url.rsplit(":", 1)[1])
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        reader.sendall("\r\n".join([*head, "", body]).encode())
        order = played.take()
        for _ in range(200):
            played.write(order, "x" * 65_536)
        until(lambda: not played.is_wanted(order))


def test_a_server_that_ends_says_so(service: Service, played: Played, pool: ThreadPoolExecutor) -> None:
    with ExitStack() as open_too_long:
        with serving(service.settings) as ending:
            client = open_too_long.enter_context(ending.client)
            asked = pool.submit(post, ending)
            played.take()
            opened = open_stream(client.chat.completions.create, played, pool)
            stream, _ = open_too_long.enter_context(opened)
        check_error(asked.result(), 503, code="server_stopping", param=None)
        with pytest.raises(openai.APIError) as raised:
            list(stream)
    assert raised.value.code == "server_stopping"


def test_requests_are_counted(chat: Service, played: Played, pool: ThreadPoolExecutor) -> None:
    asked = [pool.submit(post, chat) for _ in range(2)]
    played.write(played.take(), "Hi", "stop")
    until(lambda: any(future.done() for future in asked))
    text = httpx.get(f"{chat.url}/metrics").text
    assert "isthmus_chat_queue_requests 1.0" in text
    assert "isthmus_chat_processes 1.0" in text
    assert 'isthmus_chat_requests_total{outcome="ok"}' in text
    assert 'isthmus_chat_tokens_total{kind="completion"}' in text
    assert "isthmus_chat_first_token_seconds_count" in text
    played.write(played.take(), "Hi", "stop")


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]
ANSWERED = {"role": "assistant", "content": "Hi", "refusal": None, "audio": None, "tool_calls": None}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_parameter"),
        ({"tool_choice": "auto"}, "tool_choice", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"logprobs": 0}, "logprobs", "unsupported_parameter"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "unsupported_parameter"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "unsupported_parameter"),
        ({"audio": {"voice": "x", "format": "wav"}}, "audio", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
        ({"store": True}, "store", "unsupported_parameter"),
        ({"messages": IMAGE}, "messages[0].content", "unsupported_parameter"),
        ({"messages": [{**HELLO[0], "name": "Ann"}]}, "messages[0].name", "unsupported_parameter"),
        (
            {"messages": [*HELLO, {**ANSWERED, "tool_calls": [{"id": "1"}]}]},
            "messages[1].tool_calls",
            "unsupported_parameter",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": HELLO * 1025}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "\0"}]}]},
            "messages[0].content",
            "invalid_value",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_parameter"),
        ({"n": 9}, "n", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"stop": [""]}, "stop[0]", "invalid_value"),
        ({"stop": "x" * 129}, "stop[0]", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "conflicting_parameters"),
        ({"seed": 2**53}, "seed", "invalid_value"),
        (
            {"stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "unsupported_parameter",
        ),
        ({"top_k": 3}, "top_k", "unknown_parameter"),
        ({"model": "ft:nobody:isthmus::12345678"}, "model", "model_not_found"),
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"model": "ftjob-nobody"}, "model", "model_not_found"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    chat: Service, played: Played, body: dict[str, Any], param: str, code: str
) -> None:
    answer = post(chat, **body)
    check_error(answer, 404 if code == "model_not_found" else 400, code=code, param=param)
    assert played.intake.waiting() == []


def test_what_asks_for_nothing_is_taken(chat: Service, played: Played, pool: ThreadPoolExecutor) -> None:
    nothing = {"tools": [], "tool_choice": "none", "logprobs": False, "n": None, "stop": None, "store": False}
    more = {"response_format": {"type": "text"}, "frequency_penalty": 0.0, "modalities": ["text"]}
    messages = [*HELLO, ANSWERED, *HELLO]
    asked = pool.submit(post, chat, **nothing, **more, messages=messages, service_tier="auto")
    order = played.take()
    assert [turn.content for turn in order.messages] == ["Hello", "Hi", "Hello"]
    played.write(order, "Hi", "stop")
    assert asked.result().status_code == 200


def test_a_body_that_is_too_large_is_refused(chat: Service) -> None:
    answer = post(chat, messages=[{"role": "user", "content": "x" * 2**20}])
    check_error(answer, 413, code="too_large", param=None)
