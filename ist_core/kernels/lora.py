"""A linear module with LoRA, forward and backward in one piece.

    y = W x + b + s B A x

    dL/dx = W' g + A' (s B' g)        dL/dA = (s B' g) x'        dL/dB = s g (A x)'

W and b are frozen. Kept for the backward pass: x and A x where A or B is trained, and nothing otherwise; the
plain module keeps what it casts, and sums the response in a tensor of its own. A and B are float32 and take
part in the format of x, as autocast has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ist_core.kernels.products import product

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


@dataclass(frozen=True, slots=True)
class Projection:
    """The weights of one linear module: frozen ones, and an adapter's if it has one."""

    weight: Tensor
    """W, (outputs, inputs)"""
    bias: Tensor | None
    a: Tensor | None
    """(rank, inputs), float32"""
    b: Tensor | None
    """(outputs, rank), float32"""
    scaling: float

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return y and A x of tokens (M, inputs)."""
        y = product(x, self.weight.t())
        if self.bias is not None:
            y += self.bias
        if self.a is None or self.b is None:
            return y, None
        inner = product(x, self.a.to(x.dtype).t())
        y.addmm_(inner, self.b.to(x.dtype).t(), alpha=self.scaling)
        return y, inner

    def backward(self, g: Tensor, x: Tensor | None, inner: Tensor | None, *, onward: bool) -> Gradients:
        """Return dL/dx (None unless `onward`), dL/dA and dL/dB (None without x)."""
        dx = product(g, self.weight) if onward else None
        if self.a is None or self.b is None:
            return dx, None, None
        narrow = product(g, self.b.to(g.dtype)).mul_(self.scaling)
        if dx is not None:
            dx.addmm_(narrow, self.a.to(g.dtype))
        if x is None or inner is None:
            return dx, None, None
        da = product(narrow.t(), x).to(self.a.dtype)
        db = product(g.t(), inner).to(self.b.dtype).mul_(self.scaling)
        return dx, da, db


def lora_linear(x: Tensor, projection: Projection) -> Tensor:
    """Return the module's output for x, (.., inputs)."""
    p = projection
    found: Tensor = _LoraLinear.apply(x, p.weight, p.bias, p.a, p.b, p.scaling)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor | None,
        b: Tensor | None,
        scaling: float,
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        y, inner = Projection(weight, bias, a, b, scaling).forward(flat)
        trained = ctx.needs_input_grad[3] or ctx.needs_input_grad[4]
        ctx.save_for_backward(weight, a, b, *((x, inner) if trained else (None, None)))
        ctx.scaling = scaling
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        weight, a, b, x, inner = ctx.saved_tensors
        flat = None if x is None else x.reshape(-1, x.shape[-1])
        projection = Projection(weight, None, a, b, ctx.scaling)
        dx, da, db = projection.backward(
            g.reshape(-1, g.shape[-1]), flat, inner, onward=ctx.needs_input_grad[0]
        )
        return None if dx is None else dx.view(*g.shape[:-1], -1), None, None, da, db, None
