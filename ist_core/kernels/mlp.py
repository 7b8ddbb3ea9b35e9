"""A gated feed-forward part, forward and backward in one piece.

    y = D(silu(G x) * U x)        G, U, D: linear modules, with LoRA or without

Kept for the backward pass: G x and U x, and x where an adapter of G or U is trained. silu and the product are
made again, which takes a pass over memory and no matrix product; the plain modules keep them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

from ist_core.kernels.lora import Projection
from ist_core.kernels.recompute import recomputing

_EACH = 4
"""Tensors that a projection brings: weight, bias, A, B."""


def gated_mlp(x: Tensor, gate: Projection, up: Projection, down: Projection) -> Tensor:
    """Return the output for x, (.., H)."""
    parts = (gate, up, down)
    tensors = [tensor for p in parts for tensor in (p.weight, p.bias, p.a, p.b)]
    scalings = tuple(p.scaling for p in parts)
    found: Tensor = _GatedMlp.apply(x, scalings, *tensors)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _GatedMlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scalings: tuple[float, ...], *tensors: Tensor | None) -> Tensor:
        gate, up, down = _projections(tensors, scalings)
        flat = x.reshape(-1, x.shape[-1])
        gated, gate_inner = gate.forward(flat)
        raised, up_inner = up.forward(flat)
        trained = [any(ctx.needs_input_grad[2 + at : 2 + at + _EACH]) for at in (0, _EACH, 2 * _EACH)]
        if recomputing() and not trained[2]:
            # It is the layer's last product, and nothing that the backward pass needs comes of it.
            y, down_inner = torch.empty_like(flat), None
        else:
            y, down_inner = down.forward(silu(gated).mul_(raised))
        inner = [
            value if wanted else None
            for value, wanted in zip((gate_inner, up_inner, down_inner), trained, strict=True)
        ]
        ctx.save_for_backward(x if trained[0] or trained[1] else None, gated, raised, *inner, *tensors)
        ctx.scalings = scalings
        ctx.trained = trained
        return y.view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, gated, raised, gate_inner, up_inner, down_inner, *tensors = ctx.saved_tensors
        gate, up, down = _projections(tensors, ctx.scalings)
        flat = None if x is None else x.reshape(-1, x.shape[-1])
        activated = silu(gated)
        read = activated * raised if ctx.trained[2] else None
        dread, down_a, down_b = down.backward(g.reshape(-1, g.shape[-1]), read, down_inner, onward=True)
        if dread is None:
            raise TypeError("what goes on has a gradient")
        onward = ctx.needs_input_grad[0]
        wanted = onward or ctx.trained[1]
        dx, up_a, up_b = (
            up.backward(activated.mul_(dread), flat, up_inner, onward=onward)
            if wanted
            else (None, None, None)
        )
        dgated = torch.ops.aten.silu_backward(dread.mul_(raised), gated)
        also, gate_a, gate_b = gate.backward(dgated, flat, gate_inner, onward=onward)
        if dx is not None and also is not None:
            dx = (dx + also).view(g.shape)
        none = (None, None)
        return dx, None, *none, gate_a, gate_b, *none, up_a, up_b, *none, down_a, down_b


def _projections(tensors: Any, scalings: tuple[float, ...]) -> list[Projection]:
    found = []
    for at, scaling in enumerate(scalings):
        weight, bias, a, b = tensors[at * _EACH : (at + 1) * _EACH]
        found.append(Projection(weight, bias, a, b, scaling))
    return found
