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
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LONGEST = 512
"""Tokens of the longest rows that this is faster for."""


def rotary_attention(q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, head_dim: int) -> Tensor:
    """Return attention's output, (B, T, h d).

    Args:
        q: (B, T, h d), not yet rotated; k and v: (B, T, g d).
        cos: (1, T, d), and sin.
    """
    found: Tensor = _RotaryAttention.apply(q, k, v, cos, sin, head_dim)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _RotaryAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, cos: Tensor, sin: Tensor, head_dim: int) -> Tensor:
        groups = k.shape[-1] // head_dim
        queries = _tall(_rotated(_heads(q, head_dim), cos, sin), groups)
        keys = _tall(_rotated(_heads(k, head_dim), cos, sin), groups)
        values = _tall(_heads(v, head_dim), groups)
        ctx.save_for_backward(queries, keys, values, cos, sin)
        ctx.sizes = (q.shape[0], q.shape[1])
        return _flat(torch.bmm(_probabilities(queries, keys), values), *ctx.sizes).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, cos, sin = ctx.saved_tensors
        rows, length = ctx.sizes
        groups, head_dim = keys.shape[0] // rows, keys.shape[-1]
        p = _probabilities(queries, keys)
        out = _tall(_heads(g, head_dim), groups)
        dv = torch.bmm(p.transpose(1, 2), out)
        dp = torch.bmm(out, values.transpose(1, 2))
        ds = torch.ops.aten._softmax_backward_data(dp, p, -1, p.dtype)  # noqa: SLF001  # softmax's derivative
        ds = ds.mul_(1 / math.sqrt(head_dim))
        dq = _flat(torch.bmm(ds, keys), rows, length)
        dk = _flat(torch.bmm(ds.transpose(1, 2), queries), rows, length)
        # A rotation's transpose is the rotation back.
        back = -sin
        return (
            _rotated(dq, cos, back).flatten(2),
            _rotated(dk, cos, back).flatten(2),
            _flat(dv, rows, length).flatten(2),
            None,
            None,
            None,
        )


def _probabilities(queries: Tensor, keys: Tensor) -> Tensor:
    """p, (B g, h / g * T, T)"""
    length = keys.shape[1]
    scores = torch.bmm(queries, keys.transpose(1, 2))
    future = torch.ones(length, length, dtype=torch.bool, device=keys.device).triu_(1)
    if scores.dtype == torch.bfloat16:
        scores = scores.float()
    scores.mul_(1 / math.sqrt(keys.shape[-1])).view(-1, length, length).masked_fill_(future, -math.inf)
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


def _tall(x: Tensor, groups: int) -> Tensor:
    """(B, T, n, d) to (B g, n / g * T, d)"""
    rows, length, heads, features = x.shape
    parted = x.view(rows, length, groups, heads // groups, features).permute(0, 2, 3, 1, 4)
    return parted.reshape(rows * groups, -1, features)


def _flat(x: Tensor, rows: int, length: int) -> Tensor:
    """(B g, n / g * T, d) to (B, T, n, d)"""
    features = x.shape[-1]
    parted = x.view(rows, x.shape[0] // rows, -1, length, features).permute(0, 3, 1, 2, 4)
    return parted.reshape(rows, length, -1, features)
