"""Chat training data, whatever the format of its file: what supervised training reads (no torch here)."""

from __future__ import annotations

from pathlib import Path

from ist_core import containers
from ist_core.chat import CHAT
from ist_core.chat import ChatMessage as ChatMessage
from ist_core.chat import ChatRow as ChatRow
from ist_core.flat import ALPACA, PROMPT_COMPLETION
from ist_core.sharegpt import SHAREGPT

CHAT_FORMATS = (CHAT, PROMPT_COMPLETION, ALPACA, SHAREGPT)


def load(path: Path, *, param: str | None = "training_file") -> list[ChatRow]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    return containers.load(path, CHAT_FORMATS, param=param)
