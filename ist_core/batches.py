"""Examples to padded tensors, in a seeded order that keeps similar lengths together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ist_core.encoding import Example
from ist_core.seeds import stream
from ist_core.widths import rounded_width

_WINDOW = 8
"""Batches within which examples are sorted by length: little padding, and still a random order."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded examples: B of them, N supervised tokens."""

    tokens: torch.Tensor
    """(B, T)"""
    mask: torch.Tensor
    """(B, T), 1 where there is a token."""
    positions: torch.Tensor
    """(N,), indices into the flattened (B * T) of the positions that predict a supervised token."""
    targets: torch.Tensor
    """(N,), the supervised tokens themselves."""
    rows: tuple[tuple[int, ...], ...]
    """The tokens of each example, without padding."""

    @property
    def size(self) -> int:
        """How many tokens are not padding."""
        return sum(map(len, self.rows))

    @property
    def weight(self) -> int:
        """How many supervised tokens there are: terms of the loss."""
        return len(self.targets)


def collate(
    examples: Sequence[Example], *, pad: int, device: torch.device, few_widths: bool = False
) -> Batch:
    """Return the examples as one batch on `device`, padded to the longest, or a little further.

    Args:
        few_widths: pad to one of eight lengths an octave; see `needs_few_widths`.
    """
    width = max(len(example.tokens) for example in examples)
    if few_widths:
        width = rounded_width(width)
    tokens = torch.full((len(examples), width), pad)
    mask = torch.zeros((len(examples), width), dtype=torch.long)
    supervised = torch.zeros((len(examples), width), dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.tokens)
        tokens[row, :length] = torch.tensor(example.tokens)
        mask[row, :length] = 1
        supervised[row, :length] = torch.tensor(example.supervised)
    targets = supervised.flatten().nonzero().squeeze(1)
    return Batch(
        tokens=tokens.to(device),
        mask=mask.to(device),
        # The first token of a row is never supervised, so the position before is in the same row.
        positions=(targets - 1).to(device),
        targets=tokens.flatten()[targets].to(device),
        rows=tuple(example.tokens for example in examples),
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
