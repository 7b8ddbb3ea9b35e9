"""Keys and values of the running rows: written in place, read as one view, joined and left by row.

Rows of different lengths end at the same column, as with padding on the left; a shared cursor moves right.

    column   0      start            end        columns
    row 0    .      k k k k k k k k |               start = end - (tokens of the longest row)
    row 1    .      0 0 0 0 k k k k |               zeros are masked

A token is written at the cursor and copies nothing. Only when the cursor reaches the last column, or a row
joins that finds no room, are the living columns moved to new tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

SLACK = 128
"""Columns beyond those needed: so many tokens lie at least between two moves of the whole cache."""


@dataclass(slots=True)
class _Frame:
    """The part of the tensors that is alive, the same for all layers."""

    rows: int
    start: int
    end: int


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # transformers has no types here
    """One layer's tensors, shape (rows, heads, columns, features), made when the first token comes."""

    is_sliding = False

    def __init__(self, frame: _Frame, rows: int, columns: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self._frame = frame
        self._room = (rows, columns)
        self.tensors: tuple[Tensor, ...] = ()
        """Keys and values."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the tensors, with the heads and features of these states."""
        self.tensors = tuple(_zeros(states, *self._room) for states in (key_states, value_states))

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write new tokens' states at the cursor; returns views of all that is alive, and of them."""
        if not self.tensors:
            self.lazy_initialization(key_states, value_states)
        keys, values = self.tensors
        rows, start, end = self._frame.rows, self._frame.start, self._frame.end
        stop = end + key_states.shape[-2]
        keys[:rows, :, end:stop] = key_states
        values[:rows, :, end:stop] = value_states
        return keys[:rows, :, start:stop], values[:rows, :, start:stop]

    def move(self, rows: int, columns: int, end: int) -> None:
        """Take new tensors of `rows` and `columns`, with what is alive up to the column `end`."""
        frame = self._frame
        start = end - (frame.end - frame.start)
        moved = tuple(_zeros(tensor, rows, columns) for tensor in self.tensors)
        for new, old in zip(moved, self.tensors, strict=True):
            new[: frame.rows, :, start:end] = old[: frame.rows, :, frame.start : frame.end]
        self.tensors = moved

    def add(self, other: _Layer, rows: range, start: int) -> None:
        """Write the only row of another cache into `rows`, up to the cursor; `start` begins what is alive."""
        frame, source = self._frame, other._frame
        first = frame.end - (source.end - source.start)
        for tensor, filled in zip(self.tensors, other.tensors, strict=True):
            # What rows before have left there must not be read, though it is masked: 0 * inf is no number.
            tensor[: rows.start, :, start : frame.start] = 0
            tensor[rows.start : rows.stop, :, start:first] = 0
            tensor[rows.start : rows.stop, :, first : frame.end] = filled[:1, :, source.start : source.end]

    def overwrite(self, row: int, by: int) -> None:
        """Copy what is alive of one row to another."""
        for tensor in self.tensors:
            alive = tensor[:, :, self._frame.start : self._frame.end]
            alive[row] = alive[by]

    def get_seq_length(self) -> int:
        """Return the number of living columns."""
        return self._frame.end - self._frame.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the columns that a mask for so many new tokens has, and the first one's number."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: no limit that a model should know of."""
        return -1


class KeyValueCache(Cache):
    """The keys and values of running rows, for a model's `past_key_values`.

    Args:
        layers: how many the model has.
        rows: how many there are from the start, with no token; or 0, when they are to join.
        columns: room for tokens.
    """

    def __init__(self, layers: int, *, rows: int = 0, columns: int = 0) -> None:
        self._frame = _Frame(rows, 0, 0)
        self._rows = rows
        self._columns = columns
        self._parts = [_Layer(self._frame, rows, columns) for _ in range(layers)]
        super().__init__(layers=list(self._parts))
        self.lengths = [0] * rows
        """Tokens of each row."""

    def make_room(self) -> None:
        """See to it that the next token of each row has a column."""
        if self._frame.end == self._columns:
            self._move(self._rows, self._columns, max(self.lengths))

    def advance(self, tokens: int) -> None:
        """Say that a forward pass has written so many tokens of each row."""
        self._frame.end += tokens
        self.lengths = [length + tokens for length in self.lengths]

    def join(self, filled: KeyValueCache, copies: int, *, rows: int, columns: int) -> None:
        """Append `copies` rows like the only one of `filled`.

        Args:
            rows: how many there are then, or more: room to take when there is too little.
            columns: the tokens that the longest of them may come to have.
        """
        (length,) = filled.lengths
        before = self._frame.rows
        end = max(self._frame.end, length)
        if before + copies > self._rows or columns + SLACK > self._columns or end >= self._columns:
            self._take(filled, rows, columns + SLACK, max([length, *self.lengths]))
        elif end > self._frame.end:
            self._move(self._rows, self._columns, end)
        start = self._frame.end - max([length, *self.lengths])
        for layer, source in zip(self._parts, filled._parts, strict=True):
            layer.add(source, range(before, before + copies), start)
        self.lengths += [length] * copies
        self._frame.rows += copies
        self._frame.start = start

    def drop(self, row: int) -> None:
        """Take a row out; the last one takes its place."""
        last = self._frame.rows - 1
        if row != last:
            for layer in self._parts:
                layer.overwrite(row, last)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        self._frame.rows -= 1
        self._frame.start = self._frame.end - max(self.lengths, default=0)

    def padding_mask(self, tokens: int) -> Tensor | None:
        """Return which columns count for which row once `tokens` more are there, or None: all.

        Its shape is (rows, columns), its dtype int64.
        """
        width = max(self.lengths)
        if min(self.lengths) == width:
            return None
        device = self._parts[0].tensors[0].device
        padding = torch.tensor([[width - length] for length in self.lengths], device=device)
        return (torch.arange(width + tokens, device=device) >= padding).long()

    def _take(self, like: KeyValueCache, rows: int, columns: int, end: int) -> None:
        """Move to new room, or take the first: with heads and features as `like` has them."""
        for layer, source in zip(self._parts, like._parts, strict=True):
            if not layer.tensors:
                layer.tensors = tuple(_zeros(tensor, 0, 0) for tensor in source.tensors)
        self._move(rows, columns, end)

    def _move(self, rows: int, columns: int, end: int) -> None:
        for layer in self._parts:
            layer.move(rows, columns, end)
        self._rows, self._columns = rows, columns
        self._frame.start += end - self._frame.end
        self._frame.end = end


def _zeros(like: Tensor, rows: int, columns: int) -> Tensor:
    # Zeros, because padding is read too, with no weight, and 0 * (what memory held before) may be no number.
    return like.new_zeros(rows, like.shape[1], columns, like.shape[3])
