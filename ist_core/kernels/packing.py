"""Rows one after the other, without padding between them, and where attention finds them again.

    token p of the pack is token t of row b:        p = start_b + t
    attention's tall matrices (attention.py):       x_tall[b G + j / m, (j mod m) T + t] = x[p, j]

All but attention works token by token, so padding is left out there; attention takes rows of one length.
What is left of the pack at its end is padding: no row's, never learnt, its gradient is zero.

    T  length of the longest row    n  heads of a tensor    G  key heads    m = n / G    j  head
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.kernels.attention import LONGEST
from ist_core.kernels.families import base_of, known_classes
from ist_core.widths import rounded_width

_STEP = 16
"""The pack's length is a multiple of it: code is made for every length of a product, and kept for some."""


class PackedRows:
    """Rows of these lengths, one after the other on the CPU."""

    def __init__(self, lengths: Sequence[int]) -> None:
        used = sum(lengths)
        self.starts = (0, *accumulate(lengths[:-1]))
        """Where each row begins."""
        self.size = (used // _STEP + 1) * _STEP
        """Tokens with the padding, of which there is at least one."""
        self.rows, self.length = len(lengths), rounded_width(max(lengths))
        """What attention takes, with padding for every row: (B, T)."""
        parts = [torch.arange(length) for length in (*lengths, self.size - used)]
        self.places = torch.cat(parts).unsqueeze(0)
        """(1, size): each token's position in its row."""
        row = torch.repeat_interleave(torch.arange(self.rows), torch.tensor(lengths))
        self._used = used
        self._tokens = torch.full((self.rows, 1, 1, self.length), used)
        """Of each place in rows of one length, its token; the first of the padding where there is none."""
        self._tokens[row, 0, 0, self.places[0, :used]] = torch.arange(used)
        self._places: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def tall(self, x: Tensor, groups: int) -> Tensor:
        """(1, size, n, d) to (B G, n / G * T, d)"""
        heads, features = x.shape[-2:]
        there, _ = self._of(heads, groups)
        return x.reshape(-1, features).index_select(0, there).view(self.rows * groups, -1, features)

    def flat(self, x: Tensor, groups: int) -> Tensor:
        """(B G, n / G * T, d) to (1, size, n, d), zero where no row is"""
        features = x.shape[-1]
        heads = x.shape[1] // self.length * groups
        _, back = self._of(heads, groups)
        out = x.new_zeros(self.size * heads, features)
        torch.index_select(x.reshape(-1, features), 0, back, out=out[: len(back)])
        return out.view(1, self.size, heads, features)

    def _of(self, heads: int, groups: int) -> tuple[Tensor, Tensor]:
        """Return where in the pack a tall matrix's vectors are, and where in it those of the pack are."""
        if (found := self._places.get((heads, groups))) is None:
            head = torch.arange(heads).view(groups, heads // groups, 1)
            there = (self._tokens * heads + head).flatten()
            back = torch.empty(self._used * heads, dtype=torch.long)
            of_rows = (there < len(back)).nonzero().squeeze(1)
            back[there[of_rows]] = of_rows
            found = self._places[heads, groups] = there, back
        return found


def can_pack(model: PeftModel) -> bool:
    """Whether attention of short rows takes its fast path, so that leaving out padding saves time."""
    base = base_of(model)
    config = vars(base.config)
    window = config.get("sliding_window")
    return (
        model.device.type == "cpu"
        and bool(known_classes(base))
        and not config.get("attention_dropout")
        and (window is None or window >= LONGEST)
    )


_READ: ContextVar[PackedRows | None] = ContextVar("packed_rows", default=None)


def packed_rows() -> PackedRows | None:
    """Return the rows that the model reads now, if they are packed."""
    return _READ.get()


@contextmanager
def reading(rows: PackedRows | None) -> Iterator[None]:
    """Inside the block the model reads these rows."""
    token = _READ.set(rows)
    try:
        yield
    finally:
        _READ.reset(token)
