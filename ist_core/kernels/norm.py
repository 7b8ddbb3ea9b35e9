"""Root-mean-square norm (Zhang and Sennrich, 2019, arXiv 1910.07467) whose weight is frozen.

    y = w * (x r)        r = 1 / sqrt(mean(x^2) + eps)
    dL/dx = r (u - x r mean(u x r))        u = w * dL/dy

Kept for the backward pass: x, which the residual sum keeps anyway, and r.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return the norm of x, (.., H), computed in float32."""
    found: Tensor = _RmsNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]  # torch has no types here
    return found


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, weight)
        y: Tensor = (wide * scale).to(x.dtype).mul_(weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        x, scale, weight = ctx.saved_tensors
        normed = x * scale
        u = (g * weight).float()
        along = torch.linalg.vecdot(u, normed).unsqueeze(-1).div_(x.shape[-1])
        return u.addcmul_(normed, along, value=-1).mul_(scale).to(x.dtype), None, None
