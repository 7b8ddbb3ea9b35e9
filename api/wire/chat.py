"""Chat completions on the wire, whole and in chunks, in OpenAI's shape."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel

FinishReason = Literal["stop", "length"]


class ChatUsage(WireModel):
    """Tokens; those of the answer are all choices' together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(WireModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(WireModel):
    """One of the `n` answers. It ended by itself or at a stop text (`stop`), or was cut off (`length`)."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletionObject(WireModel):
    """The answers to a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: None = None


class ChoiceDelta(WireModel):
    """What an answer's text goes on with; the first one of an answer has its role, the last one neither."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(WireModel):
    """A piece of one of the answers."""

    index: int
    delta: ChoiceDelta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(WireModel):
    """A part of a stream. With `include_usage` the last one has no choices, and the usage."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    system_fingerprint: None = None
