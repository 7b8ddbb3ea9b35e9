"""What the chat engine is asked, and what it answers token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus.dataset.chat_rows import ChatMessage

from ist_core.errors import EngineError

FinishReason = Literal["stop", "length"]
"""`stop`: the model ended its turn or wrote a stop string; `length`: `max_tokens` were written."""


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """A local PEFT adapter folder."""

    name: str
    """Unique and stable: two requests with one name mean the same weights."""
    folder: Path


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One conversation to go on with."""

    id: str
    adapter: AdapterRef | None
    """None: the base model."""
    messages: Sequence[ChatMessage]
    max_tokens: int | None = None
    """The most tokens a choice may have, 1 or more; None: the engine's default, or what the window leaves."""
    temperature: float = 1.0
    """0: the likeliest token, always."""
    top_p: float = 1.0
    """From above 0 to 1: only the likeliest tokens that together have this chance are drawn from."""
    stop: tuple[str, ...] = ()
    """Strings that end a choice; none is empty, and they are not part of the text."""
    seed: int | None = None
    """The same seed draws the same tokens from the same chances; None: a new one each time."""
    n: int = 1
    """How many choices, 1 or more."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a step added to one choice: text, its end, or both."""

    request_id: str
    index: int
    """Which choice of the request."""
    text: str
    """Whole characters; empty only at the end."""
    finish_reason: FinishReason | None
    """Set in a choice's last delta."""
    prompt_tokens: int
    completion_tokens: int
    """Of this choice so far, the token that ended the turn among them."""
    error: EngineError | None = None
    """Why a choice ends without a finish reason: its adapter was there at `submit`, and is not any more."""
