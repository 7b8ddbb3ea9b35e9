"""Examples to padded tensors, in a seeded order that keeps similar lengths together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ist_core.encoding import Example
from ist_core.kernels.attention import LONGEST
from ist_core.kernels.packing import PackedRows
from ist_core.seeds import stream
from ist_core.widths import rounded_width

_WINDOW = 8
"""Batches within which examples are sorted by length: little padding, and still a random order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples, B of them with N supervised tokens: right-padded, or packed."""

    tokens: torch.Tensor
    """(B, T), or one pack, (1, P)"""
    positions: torch.Tensor
    """(N,), indices into the flattened tokens of the positions that predict a supervised token."""
    targets: torch.Tensor
    """(N,), the supervised tokens themselves."""
    rows: tuple[tuple[int, ...], ...]
    """The tokens of each example, without padding."""
    starts: Sequence[int]
    """Where each example begins in the flattened tokens."""
    packed: PackedRows | None
    """How they are packed; None: they are padded."""

    @property
    def size(self) -> int:
        """How many tokens are not padding."""
        return sum(map(len, self.rows))

    @property
    def weight(self) -> int:
        """How many supervised tokens there are: terms of the loss."""
        return len(self.targets)


def collate(
    examples: Sequence[Example],
    *,
    pad: int,
    device: torch.device,
    few_widths: bool = False,
    packed: bool = False,
) -> Batch:
    """Return the examples as one batch on `device`, padded to the longest, or a little further.

    Args:
        few_widths: pad to one of eight lengths an octave; see `needs_few_widths`.
        packed: without padding, if all rows are short enough for attention's fast path.
    """
    lengths = [len(example.tokens) for example in examples]
    width = max(lengths)
    pack = PackedRows(lengths) if packed and width <= LONGEST else None
    if few_widths:
        width = rounded_width(width)
    shape = (1, pack.size) if pack else (len(examples), width)
    starts = pack.starts if pack else range(0, width * len(examples), width)
    tokens = torch.full((shape[0] * shape[1],), pad)
    supervised = torch.zeros(len(tokens), dtype=torch.bool)
    for start, example in zip(starts, examples, strict=True):
        part = slice(start, start + len(example.tokens))
        tokens[part] = torch.tensor(example.tokens)
        supervised[part] = torch.tensor(example.supervised)
    targets = supervised.nonzero().squeeze(1)
    return Batch(
        tokens=tokens.view(shape).to(device),
        # The first token of a row is never supervised, so the position before is in the same row.
        positions=(targets - 1).to(device),
        targets=tokens[targets].to(device),
        rows=tuple(example.tokens for example in examples),
        starts=starts,
        packed=pack,
    )


def needs_few_widths(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether every new length of a batch costs memory for good.

    torch's bfloat16 attention on the CPU compiles kernels for each length it meets, 5 MB and more, and keeps
    them: a gigabyte after 128 lengths on two threads (measured with torch 2.13).
    """
    return device.type == "cpu" and dtype == torch.bfloat16


def epoch_order(lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the batches of one epoch, each index once; the last batch of a window may be short."""
    generator = stream(seed, "epoch", epoch)
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    window = _WINDOW * batch_size
    batches = []
    for start in range(0, len(shuffled), window):
        near = sorted(shuffled[start : start + window], key=lambda index: lengths[index])
        groups = [near[at : at + batch_size] for at in range(0, len(near), batch_size)]
        batches += [groups[at] for at in torch.randperm(len(groups), generator=generator).tolist()]
    return batches


def probe_choice(count: int, *, size: int, seed: int, number: int) -> list[int]:
    """Return which of `count` held-out examples (at most `size`) probe `number` looks at."""
    generator = stream(seed, "probe", number)
    return sorted(torch.randperm(count, generator=generator)[:size].tolist())
