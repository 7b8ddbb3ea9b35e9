"""Cross entropy behind a frozen output layer, chunk by chunk of tokens, its gradient made along with it.

    z = W h + b        l = sum_n (log sum_v exp z_nv  -  z_nt)        p = softmax(z)

    dl/dh = W' (p - y)        y_nv = 1 where v = t_n, else 0

A chunk's logits are there once, when they are made: its p - y is made in their place and multiplied by W at
once, in buffers that the chunks share. Kept for the backward pass: dl/dh alone; the plain way keeps
logits and p of all tokens. Logits have the model's format, and all that is made of them is float32.

    h  states    t  targets    W  weight    b  bias    n  token    v  word
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ist_core.kernels.products import product

CHUNK = 128
"""Tokens; more make no product faster, and take memory."""


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Return the sum of the tokens' cross entropies in nats, and how many tokens have the largest logit.

    Args:
        states: (N, H), what the output layer reads.
        weight: (V, H), frozen as bias, (V,).
        targets: (N,)
    """
    wanted = torch.is_grad_enabled() and states.requires_grad
    found: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(states, weight, bias, targets, chunk, wanted)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        chunk: int,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        losses = torch.empty(len(targets), device=states.device)
        right = torch.zeros((), dtype=torch.long, device=states.device)
        gradient = torch.empty_like(states) if wanted else None
        buffers = _Buffers.like(states, words=len(weight), chunk=chunk)
        for at in range(0, len(targets), chunk):
            part = slice(at, at + chunk)
            into = None if gradient is None else gradient[part]
            losses[part], count = _of_chunk(states[part], weight, bias, targets[part], buffers, into)
            right += count
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(right)
        return losses.sum(), right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * g, None, None, None, None, None


@dataclass(frozen=True, slots=True)
class _Buffers:
    """What all chunks of a model that is not in float32 are made in: the largest tensors of a step."""

    narrow: Tensor
    """(chunk, V), in the model's format"""
    wide: Tensor
    """(chunk, V), float32"""

    @classmethod
    def like(cls, states: Tensor, *, words: int, chunk: int) -> _Buffers | None:
        """None: the model is in float32, and a chunk's product is all that it takes."""
        if states.dtype == torch.float32:
            return None
        size = (min(chunk, len(states)), words)
        return cls(states.new_empty(size), torch.empty(size, device=states.device))


def _of_chunk(
    states: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    buffers: _Buffers | None,
    gradient: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return each token's cross entropy, and how many are predicted; write dl/dh into `gradient`."""
    z = _logits(states, weight, bias, buffers)
    aims = targets.unsqueeze(1)
    largest, best = z.max(-1, keepdim=True)
    aimed = z.gather(1, aims) - largest
    p = z.sub_(largest).exp_()
    total = p.sum(-1, keepdim=True)
    if gradient is not None:
        p.div_(total).scatter_add_(1, aims, p.new_full(aims.shape, -1.0))
        narrow = p if buffers is None else buffers.narrow[: len(states)].copy_(p)
        gradient.copy_(product(narrow, weight))
    return (total.log() - aimed).squeeze(1), (best == aims).sum()


def _logits(states: Tensor, weight: Tensor, bias: Tensor | None, buffers: _Buffers | None) -> Tensor:
    """z, float32"""
    if buffers is None:
        z = product(states, weight.t())
    else:
        z = torch.mm(states, weight.t(), out=buffers.narrow[: len(states)])
    if bias is not None:
        z += bias
    return z if buffers is None else buffers.wide[: len(states)].copy_(z)
