"""Frames as they go out: serialised once, and encoded once for all readers at the same place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fastapi.sse import format_sse_event
from pydantic import BaseModel
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

SLICE_BYTES = 64 * 1024
"""So much is sent at once, and one frame at least: a reader that takes nothing holds little more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as JSON. `seq` places it in the series; with `id`, if it has one, a reader may come back."""

    seq: int
    type: str
    json: bytes
    id: str | None = None

    @classmethod
    def of(cls, seq: int, type_: str, frame: BaseModel, *, id_: str | None = None) -> Frame:
        """A wire object as a frame."""
        return cls(seq, type_, frame.model_dump_json().encode(), id_)


class Slice:
    """Frames that go out together; whoever has them is at `cursor`."""

    def __init__(self, frames: Sequence[Frame], cursor: int, *, last: bool = False) -> None:
        self.frames = frames
        self.cursor = cursor
        self.last = last

    @cached_property
    def websocket(self) -> bytes:
        """Each frame as a text message, as a server sends it: unmasked, uncompressed."""
        return b"".join(
            WebSocketFrame(Opcode.TEXT, frame.json).serialize(mask=False) for frame in self.frames
        )

    @cached_property
    def events(self) -> bytes:
        """Each frame as a server-sent event."""
        return b"".join(
            format_sse_event(data_str=frame.json.decode(), event=frame.type, id=frame.id)
            for frame in self.frames
        )


class Strip:
    """All the frames that there are in (start, end] of a series, in order."""

    def __init__(self, start: int, end: int, frames: Sequence[Frame] = ()) -> None:
        self.start = start
        self.end = end
        self.size = 0
        self._frames: list[Frame] = []
        self._slices: dict[int, Slice] = {}
        self._cuts = {start}
        self._add(frames)

    def extend(self, frames: Sequence[Frame], end: int) -> None:
        """Add what follows, up to `end`."""
        self._slices.clear()
        self._cuts = {self.end}
        self._add(frames)
        self.end = end

    def trim(self, size: int) -> None:
        """Forget the oldest frames, whole numbers of them, until no more than `size` bytes are left."""
        count = 0
        while self.size > size and count < len(self._frames):
            self.start = self._frames[count].seq
            while count < len(self._frames) and self._frames[count].seq == self.start:
                self.size -= len(self._frames[count].json)
                count += 1
        del self._frames[:count]

    def slice(self, cursor: int) -> Slice:
        """What follows `cursor`, which is in [start, end): about SLICE_BYTES of it.

        Readers who follow a strip from one end to the other meet at the same places and share the slices.
        """
        found = self._slices.get(cursor)
        if found is None:
            found = self._cut(cursor)
            if cursor in self._cuts:
                self._slices[cursor] = found
                self._cuts.add(found.cursor)
        return found

    def _cut(self, cursor: int) -> Slice:
        first = last = bisect_right(self._frames, cursor, key=_seq)
        size = 0
        while last < len(self._frames) and size < SLICE_BYTES:
            seq = self._frames[last].seq
            while last < len(self._frames) and self._frames[last].seq == seq:
                size += len(self._frames[last].json)
                last += 1
        # A step that a later attempt repeated used up a number: behind the last frame there may be some.
        end = self.end if last == len(self._frames) else self._frames[last - 1].seq
        return Slice(self._frames[first:last], end)

    def _add(self, frames: Sequence[Frame]) -> None:
        self._frames.extend(frames)
        self.size += sum(len(frame.json) for frame in frames)


def _seq(frame: Frame) -> int:
    return frame.seq
