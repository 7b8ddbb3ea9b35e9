"""Hidden states of rows in a nameless file: they take no memory of the run, and are gone when it ends."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from pathlib import Path

import torch
from torch import Tensor

from ist_core.errors import StorageError
from ist_core.storage import storing

Tokens = tuple[int, ...]
_WHAT = "what settled layers make of a row"
_THEN = "resume from the last checkpoint"
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SHARE = 2
"""One part in so many of what is free on the disk may be taken."""


class HiddenStates:
    """What a model's layers made of rows, by the rows' tokens.

    Args:
        folder: on whose disk they are kept. None: the system's folder for temporary files.
        size: numbers a token.
        limit: bytes that may be taken. None: half of what is free.

    Raises:
        StorageError: if no file can be made there, or what is in it cannot be written or read.
    """

    def __init__(
        self, folder: Path | None, *, size: int, dtype: torch.dtype, limit: int | None = None
    ) -> None:
        with storing(_WHAT, then=_THEN):
            # Without a name it is gone with the process, also after kill -9.
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # open as long as this
            free = shutil.disk_usage(folder or tempfile.gettempdir()).free
        self._close = weakref.finalize(self, self._file.close)
        self._size = size
        self._dtype = dtype
        self._left = free // _SHARE if limit is None else limit
        self._offsets: dict[Tokens, int] = {}
        self._end = 0

    def __len__(self) -> int:
        """How many rows are kept."""
        return len(self._offsets)

    @property
    def bytes(self) -> int:
        """What the rows take."""
        return self._end

    @property
    def room(self) -> int:
        """Tokens that may still be kept."""
        return self._left // (self._size * self._dtype.itemsize)

    def put(self, tokens: Tokens, states: Tensor) -> bool:
        """Keep a row's states, (T, size) on the CPU; False: there is no room, and they are not kept.

        Once the disk is full nothing more is kept; what was kept before stays.
        """
        if tokens in self._offsets:
            return True
        data = _bytes(states.contiguous())
        if len(data) > self._left:
            return False
        if not self._write(data):
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
        data = _bytes(states)
        try:
            read = os.preadv(self._file.fileno(), [data], offset)
        except OSError as error:
            raise StorageError(f"{_WHAT} could not be read again ({error}); {_THEN}") from error
        if read != len(data):
            raise StorageError(f"{_WHAT} could not be read again: the file was cut; {_THEN}")
        return states

    def close(self) -> None:
        """Give the disk's space back."""
        self._close()

    def _write(self, data: memoryview) -> bool:
        """Write at the end of what is kept; False: the disk is full."""
        with storing(_WHAT, then=_THEN):
            try:
                return os.pwrite(self._file.fileno(), data, self._end) == len(data)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                return False


def _bytes(states: Tensor) -> memoryview:
    """A contiguous tensor's memory: numpy knows no bfloat16."""
    return states.view(torch.uint8).numpy().data.cast("B")
