"""Causal attention of short rows, with rotary positions (Su et al., 2021, arXiv 2104.09864), in one piece.

    s = R(q) R(k)' / sqrt(d), causal        p = softmax(s)        o = p v

Query heads that share a key head form one tall matrix, so a batch is B * g products of (h / g * T, d) with
(d, T). Kept for the backward pass: R(q), R(k) and v; p is made again, one product. Rows are padded on the
right, where causal attention needs no mask: no token looks at padding, and what padding looks at is not
learnt.
The scores of a batch take B h T^2 numbers while a layer computes, so long rows go the common way.

    B  rows    T  length    h  heads    g  key heads    d  features of a head    R  rotation
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LONGEST = 512
"""Tokens of the longest rows that this is faster for."""


class Layout(Protocol):
    """How a batch's tokens lie in a tensor, and the tall matrices of its heads."""

    def tall(self, x: Tensor, groups: int) -> Tensor:
        """(.., tokens, n, d) to (B g, n / g * T, d)"""

    def flat(self, x: Tensor, groups: int) -> Tensor:
        """(B g, n / g * T, d) to (.., tokens, n, d)"""


@dataclass(frozen=True, slots=True)
class PaddedRows:
    """Rows of one length, padded on the right."""

    rows: int
    length: int

    def tall(self, x: Tensor, groups: int) -> Tensor:
        """(B, T, n, d) to (B g, n / g * T, d)"""
        heads, features = x.shape[-2:]
        parted = x.view(self.rows, self.length, groups, heads // groups, features).permute(0, 2, 3, 1, 4)
        return parted.reshape(self.rows * groups, -1, features)

    def flat(self, x: Tensor, groups: int) -> Tensor:
        """(B g, n / g * T, d) to (B, T, n, d)"""
        features = x.shape[-1]
        parted = x.view(self.rows, groups, -1, self.length, features).permute(0, 3, 1, 2, 4)
        return parted.reshape(self.rows, self.length, -1, features)


def rotary_attention(
    q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, *, head_dim: int, layout: Layout
) -> Tensor:
    """Return attention's output, as q.

    Args:
        q: (B, T, h d), not yet rotated; k and v: (B, T, g d); or what `layout` has in place of (B, T).
        cos: (1, T, d), and sin.
    """
    found: Tensor = _RotaryAttention.apply(q, k, v, cos, sin, head_dim, layout)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _RotaryAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, head_dim: int, layout: Layout
    ) -> Tensor:
        groups = k.shape[-1] // head_dim
        queries = layout.tall(_rotated(_heads(q, head_dim), cos, sin), groups)
        keys = layout.tall(_rotated(_heads(k, head_dim), cos, sin), groups)
        values = layout.tall(_heads(v, head_dim), groups)
        ctx.save_for_backward(queries, keys, values, cos, sin)
        ctx.layout, ctx.groups = layout, groups
        return layout.flat(torch.bmm(_probabilities(queries, keys), values), groups).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, cos, sin = ctx.saved_tensors
        layout, groups, head_dim = ctx.layout, ctx.groups, keys.shape[-1]
        p = _probabilities(queries, keys)
        out = layout.tall(_heads(g, head_dim), groups)
        dv = torch.bmm(p.transpose(1, 2), out)
        dp = torch.bmm(out, values.transpose(1, 2))
        ds = torch.ops.aten._softmax_backward_data(dp, p, -1, p.dtype)  # noqa: SLF001  # softmax's derivative
        dq = layout.flat(torch.bmm(ds, keys), groups)
        dk = layout.flat(torch.bmm(ds.transpose(1, 2), queries), groups)
        # A rotation's transpose is the rotation back.
        scale = 1 / math.sqrt(head_dim)
        cos, back = cos * scale, sin * -scale
        return (
            _rotated(dq, cos, back).flatten(2),
            _rotated(dk, cos, back).flatten(2),
            layout.flat(dv, groups).flatten(2),
            None,
            None,
            None,
            None,
        )


def _probabilities(queries: Tensor, keys: Tensor) -> Tensor:
    """p, (B g, h / g * T, T)"""
    length, features = keys.shape[1:]
    future = queries.new_full((length, length), -math.inf).triu_(1)
    mask = future.repeat(queries.shape[1] // length, 1).unsqueeze(0)
    # Masked and scaled by the product itself: a pass over all scores takes as long as the product.
    scores = torch.baddbmm(mask, queries, keys.transpose(1, 2), alpha=1 / math.sqrt(features))
    if scores.dtype == torch.bfloat16:
        scores = scores.float()
    return scores.softmax(-1).to(queries.dtype)


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """R(x) of x, (B, T, n, d)."""
    half = heads.shape[-1] // 2
    sines = sin.unsqueeze(2)
    out = heads * cos.unsqueeze(2)
    out[..., :half].addcmul_(heads[..., half:], sines[..., :half], value=-1)
    out[..., half:].addcmul_(heads[..., :half], sines[..., half:])
    return out


def _heads(x: Tensor, head_dim: int) -> Tensor:
    """(B, T, n d) to (B, T, n, d)"""
    return x.view(*x.shape[:2], -1, head_dim)
