"""Chat training data, whatever the format of its file: what supervised training reads (no torch here)."""

from __future__ import annotations

from pathlib import Path

from isthmus.dataset import containers
from isthmus.dataset.chat import CHAT
from isthmus.dataset.chat import ChatMessage as ChatMessage
from isthmus.dataset.chat import ChatRow as ChatRow
from isthmus.dataset.flat import ALPACA, PROMPT_COMPLETION
from isthmus.dataset.sharegpt import SHAREGPT

CHAT_FORMATS = (CHAT, PROMPT_COMPLETION, ALPACA, SHAREGPT)


def load(path: Path, *, param: str | None = "training_file") -> list[ChatRow]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    return containers.load(path, CHAT_FORMATS, param=param)
