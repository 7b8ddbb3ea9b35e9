"""The body of `POST /v1/chat/completions`: what is supported, within bounds; the rest is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.errors import bad_request
from api.unsupported import UNSUPPORTED, Unsupported
from api.wire.common import RequestModel

MAX_MESSAGES = 1024
MAX_CHOICES = 8
MAX_STOPS = 4
MAX_STOP_LENGTH = 128
MAX_TOKENS = 1_048_576
MAX_SEED = 2**53 - 1
"""Beyond that, not every JSON reader knows a number from the next."""
NO_NUL = r"^[^\x00]*$"

_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string", "pattern": NO_NUL}},
    "required": ["type", "text"],
    "additionalProperties": False,
}
_CONTENT = {
    "anyOf": [
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": _TEXT_PART, "minItems": 1},
    ],
    "description": "A text, or parts of type `text`, which are joined by line breaks",
}
_STOP_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH, "pattern": NO_NUL}
_STOP = {
    "anyOf": [
        _STOP_TEXT,
        {"type": "array", "items": _STOP_TEXT, "maxItems": MAX_STOPS},
        {"type": "null"},
    ],
    "description": "Texts that end an answer; they are not part of it",
}


def _joined(value: Any) -> Any:
    """The text of a content, which may come in parts."""
    if not isinstance(value, list):
        return value
    if not value:
        raise PydanticCustomError("empty_content", "must not be an empty list")
    return "\n".join(_text_of(index, part) for index, part in enumerate(value))


def _text_of(index: int, part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(kind, str) and kind != "text":
        reason = "part {index} is of type {kind}, which is not supported; send parts of type text"
        raise PydanticCustomError(UNSUPPORTED, reason, {"index": index, "kind": repr(kind[:40])})
    if kind is None or set(part) != {"type", "text"} or not isinstance(part["text"], str):
        reason = "part {index} must be an object of `type` and `text`"
        raise PydanticCustomError("invalid_part", reason, {"index": index})
    return str(part["text"])


def _listed(value: Any) -> Any:
    """The stop texts, of which one may come alone."""
    return [value] if isinstance(value, str) else value or []


Text = Annotated[str, Field(pattern=NO_NUL)]
StopText = Annotated[str, Field(min_length=1, max_length=MAX_STOP_LENGTH, pattern=NO_NUL)]


class MessageRequest(RequestModel):
    """A message; `developer` is read as `system`. An answer can be sent back as it came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_joined), WithJsonSchema(_CONTENT)]
    name: Annotated[None, Unsupported(instead="say who speaks in the text")] = None
    refusal: Annotated[None, Unsupported()] = None
    annotations: Annotated[None, Unsupported(([],))] = None
    audio: Annotated[None, Unsupported(instead="send text")] = None
    tool_calls: Annotated[None, Unsupported(([],), "models of this service call no tools")] = None
    function_call: Annotated[None, Unsupported((), "models of this service call no tools")] = None


class StreamOptionsRequest(RequestModel):
    """How a stream is."""

    include_usage: bool | None = None
    """Whether the last chunk has the usage."""
    include_obfuscation: Annotated[None, Unsupported((False,))] = None


class ChatCompletionRequest(RequestModel):
    """A conversation for a model to go on with."""

    model: Annotated[str, Field(min_length=1, max_length=512, pattern=NO_NUL)]
    """A base model, one that a job made (`ft:..`), or a checkpoint (`ft:..:ckpt-step-N`)."""
    messages: Annotated[list[MessageRequest], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    """Whether the answer comes piece by piece, as server-sent events."""
    stream_options: StreamOptionsRequest | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 takes the likeliest token each time; null: 1."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Draws from the likeliest tokens that together have this chance; null: 1."""
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    """The longest answer, in tokens; null: ISTHMUS_CHAT_MAX_TOKENS, or what the window has room for."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    """The older name of the same."""
    stop: Annotated[
        list[StopText],
        Field(max_length=MAX_STOPS, default_factory=list),
        BeforeValidator(_listed),
        WithJsonSchema(_STOP),
    ]
    seed: Annotated[int, Field(ge=-MAX_SEED, le=MAX_SEED)] | None = None
    """The same request with the same seed draws the same answer."""
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """So many answers; null: 1."""
    user: Annotated[str, Field(max_length=512)] | None = None
    """Your name for who asks; of no effect."""
    metadata: (
        Annotated[
            dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
        ]
        | None
    ) = None
    """Your notes; of no effect, as completions are not kept."""
    tools: Annotated[None, Unsupported(([],), "models of this service call no tools")] = None
    tool_choice: Annotated[None, Unsupported(("none",), "models of this service call no tools")] = None
    parallel_tool_calls: Annotated[
        None, Unsupported((False, True), "models of this service call no tools")
    ] = None
    functions: Annotated[None, Unsupported(([],), "models of this service call no tools")] = None
    function_call: Annotated[None, Unsupported(("none",), "models of this service call no tools")] = None
    response_format: Annotated[
        None, Unsupported(({"type": "text"},), "ask for the format in a message, or train it")
    ] = None
    logprobs: Annotated[None, Unsupported((False,))] = None
    top_logprobs: Annotated[None, Unsupported((0,))] = None
    logit_bias: Annotated[None, Unsupported(({},))] = None
    frequency_penalty: Annotated[None, Unsupported((0,))] = None
    presence_penalty: Annotated[None, Unsupported((0,))] = None
    modalities: Annotated[None, Unsupported((["text"],), "answers are text")] = None
    audio: Annotated[None, Unsupported((), "answers are text")] = None
    prediction: Annotated[None, Unsupported()] = None
    reasoning_effort: Annotated[None, Unsupported()] = None
    verbosity: Annotated[None, Unsupported()] = None
    web_search_options: Annotated[None, Unsupported()] = None
    service_tier: Annotated[None, Unsupported(("auto", "default"))] = None
    store: Annotated[None, Unsupported((False,), "completions are not kept")] = None

    def limit(self) -> int | None:
        """The longest answer that is asked for. Raises ApiError where its two names say two things."""
        if self.max_tokens is None or self.max_completion_tokens in (None, self.max_tokens):
            return self.max_tokens or self.max_completion_tokens
        raise bad_request(
            "max_tokens: says another number than max_completion_tokens; remove it",
            param="max_tokens",
            code="conflicting_parameters",
        )

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)
