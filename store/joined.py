"""Several objects, and bytes between them, as one stream."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO

from store.objects import CHUNK_BYTES, ObjectStore


class JoinedObjects(io.RawIOBase):
    """The bytes of several objects, one after the other, as a seekable stream; one is open at a time.

    Args:
        parts: the objects' keys, or bytes as they are, with their sizes.
    """

    def __init__(self, objects: ObjectStore, parts: Sequence[tuple[str | bytes, int]]) -> None:
        super().__init__()
        self._objects = objects
        self._keys = [key for key, _ in parts]
        self._ends = list(accumulate(size for _, size in parts))
        self._position = 0
        self._open: tuple[int, BinaryIO] | None = None

    @property
    def size(self) -> int:
        """Of all together."""
        return self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a memoryview is what comes
        index = next((index for index, end in enumerate(self._ends) if self._position < end), None)
        if index is None:
            return 0
        data = self._at(index).read(min(len(buffer), self._ends[index] - self._position))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._close_open()
        super().close()

    def _at(self, index: int) -> BinaryIO:
        """The object that holds the position, open at it."""
        if self._open is None or self._open[0] != index:
            self._close_open()
            key = self._keys[index]
            self._open = (index, io.BytesIO(key) if isinstance(key, bytes) else self._objects.open(key))
        begin = self._ends[index - 1] if index else 0
        stream = self._open[1]
        if stream.tell() != self._position - begin:
            stream.seek(self._position - begin)
        return stream

    def _close_open(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def open_joined(objects: ObjectStore, parts: Sequence[tuple[str | bytes, int]]) -> BinaryIO:
    """Several objects, and bytes between them, as one buffered stream, to be closed by the caller."""
    return io.BufferedReader(JoinedObjects(objects, parts), CHUNK_BYTES)
