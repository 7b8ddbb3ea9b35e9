"""One linear module with the adapters of many rows on it, LoRA, DoRA and bottlenecks alike.

    y = g * h + c + f(s D + d) U        with h = x W + b

    symbol  name        LoRA        DoRA                         bottleneck
    s       reads       x           x                            x (parallel) or h (series)
    f       activation  none        none                         relu, gelu, silu or tanh
    D, d    down, ..    A, 0        A, 0                         down
    U       up          scaling B   g scaling B                  scaling up
    g       gain        1           magnitude / |W + scaling BA|  1
    c       shift       0           (1 - g) b                    scaling (bias of up)

Adapters that read and activate alike lie side by side: D has the columns of all, and of f(s D + d) a row
keeps those of its own adapter. So rows of any adapters, and of none, go through one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ist_core.bottleneck.config import NonLinearity
from ist_core.bottleneck.layer import ACTIVATIONS


@dataclass(frozen=True, slots=True)
class Block:
    """One adapter on one module, in the equation's terms, all float32."""

    down: Tensor
    """(features read, rank)"""
    up: Tensor
    """(rank, features written)"""
    reads: Literal["input", "output"] = "input"
    activation: NonLinearity | None = None
    down_bias: Tensor | None = None
    """(rank,)"""
    gain: Tensor | None = None
    """(features written,)"""
    shift: Tensor | None = None
    """(features written,)"""


@dataclass(frozen=True, slots=True)
class Group:
    """Adapters side by side that read and activate alike."""

    down: Tensor
    up: Tensor
    reads: Literal["input", "output"]
    activation: NonLinearity | None
    down_bias: Tensor | None
    ranks: tuple[int, ...]
    """Columns of each adapter of the mixture; 0: not in this group."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """What adapters do to one module, for rows that have one of them or none."""

    rows: int
    groups: tuple[tuple[Group, Tensor | None], ...]
    """Each with which of its columns are another adapter's, by row: (rows, 1, columns), or None."""
    gain: Tensor | None
    """(rows, 1, features written), or None: 1."""
    shift: Tensor | None
    """(rows, 1, features written), or None: 0."""

    def apply(self, x: Tensor, output: Tensor) -> Tensor:
        """Return y by the module's input and output, in the output's shape and dtype.

        Both have the features last, and before them rows and tokens, or all rows' tokens in one (as in OPT).
        """
        x = x.reshape(self.rows, -1, x.shape[-1])
        h = output.reshape(self.rows, -1, output.shape[-1])
        result = h.float()
        if self.gain is not None:
            result = result * self.gain
        if self.shift is not None:
            result = result + self.shift
        for group, foreign in self.groups:
            source = x if group.reads == "input" else h
            hidden = source.float() @ group.down
            if group.down_bias is not None:
                hidden = hidden + group.down_bias
            if group.activation is not None:
                hidden = ACTIVATIONS[group.activation](hidden)
            if foreign is not None:
                hidden = hidden.masked_fill(foreign, 0.0)
            result = torch.addmm(result.flatten(0, 1), hidden.flatten(0, 1), group.up).view_as(result)
        return result.to(output.dtype).view_as(output)


def side_by_side(blocks: Sequence[Block | None]) -> list[Group]:
    """Group the adapters of a mixture on one module; None: an adapter that is not on it."""
    kinds = dict.fromkeys((block.reads, block.activation) for block in blocks if block is not None)
    return [_group(blocks, *kind) for kind in kinds]


def _group(
    blocks: Sequence[Block | None], reads: Literal["input", "output"], activation: NonLinearity | None
) -> Group:
    alike = [
        block if block is not None and (block.reads, block.activation) == (reads, activation) else None
        for block in blocks
    ]
    members = [block for block in alike if block is not None]
    biases = [block.down_bias for block in members if block.down_bias is not None]
    if len(members) == 1:
        down, up = members[0].down, members[0].up
    else:
        down, up = torch.cat([block.down for block in members], 1), torch.cat([block.up for block in members])
    return Group(
        down=down,
        up=up,
        reads=reads,
        activation=activation,
        # Blocks with an activation have a bias each, those without have none.
        down_bias=torch.cat(biases) if biases else None,
        ranks=tuple(0 if block is None else block.down.shape[1] for block in alike),
    )
