"""A file of items that wait: chunks of pickles, each with its size and the position of its first item."""

from __future__ import annotations

import os
import pickle
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ist_core.records import Emitted, StepRecord

CHUNK = 256
_HEAD = struct.Struct(">IQ")


class Spool:
    """First in, first out; the file is made when the first chunk is full, and emptied when all is read.

    Not for several threads at once. Positions count what was emitted since the run began.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._end = 0
        self._chunks: deque[tuple[int, int, int]] = deque()
        """Offset, size and number of items of those that are to be read."""
        self._pending: list[Emitted] = []
        self._in_file = 0

    def __len__(self) -> int:
        return self._in_file + len(self._pending)

    @property
    def overfull(self) -> bool:
        """Whether a chunk could not be written: there is no room on the disk."""
        return len(self._pending) >= CHUNK

    def append(self, position: int, item: Emitted) -> None:
        """Add the item at `position`. It is kept, though in memory, also when this raises OSError."""
        self._pending.append(item)
        if self.overfull:
            self.flush(position + 1)

    def flush(self, end: int) -> None:
        """Write what is in memory, whose last item is before `end`. Raises OSError, with nothing changed."""
        if not self._pending:
            return
        offset, size = self._write(end - len(self._pending), self._pending)
        self._chunks.append((offset, size, len(self._pending)))
        self._in_file += len(self._pending)
        self._pending = []

    def read(self) -> list[Emitted]:
        """Take the oldest chunk, or what is not yet written; empty when there is nothing."""
        if not self._chunks:
            items, self._pending = self._pending, []
            self._empty()
            return items
        offset, size, count = self._chunks.popleft()
        self._in_file -= count
        return _decode(os.pread(self._opened(), size, offset))

    def dump(self, position: int, items: Sequence[Emitted]) -> None:
        """Write items for whoever reads the file when this process is gone; `read` does not give them."""
        for at in range(0, len(items), CHUNK):
            self._write(position + at, items[at : at + CHUNK])

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self._pending, self._in_file = [], 0
        self._empty()

    def close(self) -> None:
        """Close the file, which stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, position: int, items: Sequence[Emitted]) -> tuple[int, int]:
        """Append a chunk; returns the offset and the size of its body."""
        body = _encode(items)
        chunk = memoryview(_HEAD.pack(len(body), position) + body)
        file, offset = self._opened(), self._end
        try:
            while chunk:
                written = os.pwrite(file, chunk, offset)
                offset, chunk = offset + written, chunk[written:]
        except OSError:
            os.ftruncate(file, self._end)
            raise
        self._end = offset
        return offset - len(body), len(body)

    def _opened(self) -> int:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        return self._file

    def _empty(self) -> None:
        if self._file is not None and self._end:
            os.ftruncate(self._file, 0)
            self._end = 0


def read_left(path: Path) -> Iterator[tuple[int, Emitted]]:
    """What the spool of a process that is gone still holds, with positions, in their order."""
    chunks: list[tuple[int, bytes]] = []
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, position = _HEAD.unpack(head)
            body = file.read(size)
            if len(body) < size:
                break  # the process was killed while it wrote
            chunks.append((position, body))
    for position, body in sorted(chunks):
        yield from enumerate(_decode(body), position)


def _encode(items: Sequence[Emitted]) -> bytes:
    # As tuples: a slotted dataclass pickles several times slower.
    return pickle.dumps([_fields(item) if isinstance(item, StepRecord) else item for item in items], 5)


def _fields(record: StepRecord) -> tuple[Any, ...]:
    return (
        record.step,
        record.time,
        record.metrics,
        record.importance,
        record.active,
        record.probabilities,
    )


def _decode(body: bytes) -> list[Emitted]:
    items = pickle.loads(body)  # noqa: S301  # a file of this service's own, in a run's private folder
    return [StepRecord(*item) if isinstance(item, tuple) else item for item in items]
