"""A conversation's answer: whole, or as chunks while it is written."""

from __future__ import annotations

import json
from dataclasses import replace

from isthmus.core.effects import Emit, Next, Operation
from isthmus.core.request import Request, post
from isthmus.core.retries import Retries, open_answer
from isthmus.core.stream import SILENCE_SECONDS, refusal
from isthmus.errors import ConnectionFailed, UnexpectedAnswer
from isthmus.types.chat import ChatChunk, ChatParams

PATH = "/v1/chat/completions"
WHOLE_SECONDS = 600.0
"""A whole answer comes at once, at its end: the service itself gives up sooner."""
DONE = "[DONE]"


def whole(params: ChatParams) -> Request:
    """Ask for a whole answer."""
    return replace(post(PATH, dict(params)), read_timeout=WHOLE_SECONDS)


def chunks(params: ChatParams, retries: Retries) -> Operation[None]:
    """Emit every chunk; it is not asked again once the answer has begun.

    Raises APIError where the service refuses, also in the middle, and ConnectionFailed for what broke off.
    """
    body = {**params, "stream": True, "stream_options": {"include_usage": True}}
    request = replace(post(PATH, body), read_timeout=SILENCE_SECONDS)
    yield from open_answer(request, retries, events=True)
    while (text := (yield Next())) != DONE:
        if text is None:
            raise ConnectionFailed(f"{PATH}: the answer broke off")
        yield Emit(_chunk(text))


def _chunk(text: str) -> ChatChunk:
    try:
        told = json.loads(text)
        if isinstance(told, dict) and "error" in told:
            raise refusal(told)
        return ChatChunk.model_validate(told)
    except ValueError as error:
        raise UnexpectedAnswer(f"the stream holds no chunk of an answer: {text[:200]}") from error
