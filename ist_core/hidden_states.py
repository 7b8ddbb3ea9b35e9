"""Hidden states of rows in a nameless file: they take no memory of the run, and are gone when it ends."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

import torch
from torch import Tensor

Tokens = tuple[int, ...]
_SHARE = 2
"""One part in so many of what is free on the disk may be taken."""


class HiddenStates:
    """What a model's layers made of rows, by the rows' tokens.

    Args:
        folder: on whose disk they are kept. None: the system's folder for temporary files.
        size: numbers a token.
        limit: bytes that may be taken. None: half of what is free.
    """

    def __init__(
        self, folder: Path | None, *, size: int, dtype: torch.dtype, limit: int | None = None
    ) -> None:
        # Without a name it is gone with the process, also after kill -9.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # open as long as this is
        self._close = weakref.finalize(self, self._file.close)
        self._size = size
        self._dtype = dtype
        free = shutil.disk_usage(folder or tempfile.gettempdir()).free
        self._left = free // _SHARE if limit is None else limit
        self._offsets: dict[Tokens, int] = {}
        self._end = 0

    def __len__(self) -> int:
        """How many rows are kept."""
        return len(self._offsets)

    def put(self, tokens: Tokens, states: Tensor) -> bool:
        """Keep a row's states, (T, size) on the CPU; False: there is no room, and they are not kept."""
        data = _bytes(states.contiguous())
        if len(data) > self._left:
            return False
        if os.pwrite(self._file.fileno(), data, self._end) != len(data):
            self._left = 0
            return False
        self._offsets[tokens] = self._end
        self._end += len(data)
        self._left -= len(data)
        return True

    def get(self, tokens: Tokens) -> Tensor | None:
        """Return a row's states, (T, size); None: they are not kept."""
        offset = self._offsets.get(tokens)
        if offset is None:
            return None
        states = torch.empty((len(tokens), self._size), dtype=self._dtype)
        os.preadv(self._file.fileno(), [_bytes(states)], offset)
        return states

    def close(self) -> None:
        """Give the disk's space back."""
        self._close()


def _bytes(states: Tensor) -> memoryview:
    """A contiguous tensor's memory: numpy knows no bfloat16."""
    return states.view(torch.uint8).numpy().data.cast("B")
