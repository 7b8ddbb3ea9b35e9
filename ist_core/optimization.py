"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ist_core.ist import AdapterLayer, layer_groups
from ist_core.spec import JobSpec


def make_optimizer(layers: Sequence[AdapterLayer], spec: JobSpec) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter, 2019) with one parameter group a layer.

    Parameters without a gradient are left alone in a step.
    """
    return torch.optim.AdamW(
        layer_groups(layers),
        lr=spec.learning_rate,
        weight_decay=spec.weight_decay,
        betas=(0.9, 0.999),
        eps=1e-8,
    )


def learning_rate(step: int, total_steps: int, spec: JobSpec) -> float:
    """Return the learning rate of the step that follows `step` finished ones: warm-up, then the schedule.

    It rises linearly over `warmup_ratio` of the steps and is above zero in every step.
    """
    warmup = math.ceil(spec.warmup_ratio * total_steps)
    if step < warmup:
        return spec.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (total_steps - warmup)
    if spec.schedule == "linear":
        return spec.learning_rate * (1.0 - progress)
    if spec.schedule == "cosine":
        return spec.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
    return spec.learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameter groups the learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
