"""Conversations with models: what is asked, and the answers, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict

from isthmus.types.base import Lenient


class TextPart(TypedDict):
    """A part of a message."""

    type: Literal["text"]
    text: str


class MessageParams(TypedDict):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Sequence[TextPart]


class ChatParams(TypedDict, total=False):
    """What `chat.create` and `chat.stream` take."""

    model: Required[str]
    """A base model, one that a job made (`ft:..`), or a checkpoint (`ft:..:ckpt-step-N`)."""
    messages: Required[Sequence[MessageParams]]
    temperature: float | None
    """From 0, which takes the likeliest token each time, to 2; else 1."""
    top_p: float | None
    max_tokens: int | None
    """The longest answer."""
    max_completion_tokens: int | None
    """The same by its newer name."""
    stop: str | Sequence[str] | None
    """At most four texts that end an answer."""
    seed: int | None
    """The same request with the same seed draws the same answer."""
    n: int | None
    """So many answers."""
    user: str | None
    metadata: Mapping[str, str] | None


class ChatUsage(Lenient):
    """Tokens; those of all answers together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Lenient):
    """What the model said."""

    role: Literal["assistant"] | str
    content: str
    refusal: None = None


class ChatChoice(Lenient):
    """One of the answers. It ended by itself or at a stop text (`stop`), or was cut off (`length`)."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | str


class ChatCompletion(Lenient):
    """The answers to a conversation."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: None = None

    @property
    def text(self) -> str:
        """The first answer."""
        return self.choices[0].message.content


class ChoiceDelta(Lenient):
    """What an answer goes on with."""

    role: Literal["assistant"] | str | None = None
    content: str | None = None


class ChunkChoice(Lenient):
    """A piece of one of the answers."""

    index: int
    delta: ChoiceDelta
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | str | None = None


class ChatChunk(Lenient):
    """A piece of a stream; the last one has no choices, and the usage."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None
    system_fingerprint: None = None

    @property
    def text(self) -> str:
        """What the first answer goes on with; empty where this is about something else."""
        return "".join(choice.delta.content or "" for choice in self.choices if choice.index == 0)
