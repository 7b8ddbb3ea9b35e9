"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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


def moments(optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Return the optimizer's state tensors, called `exp_avg/` and the like before the parameter's name.

    Parameters that were never updated, or whose state was reset, have none.

    Args:
        names: those of the model's parameters.
    """
    return {
        f"{kind}/{names[parameter]}": value
        for parameter, values in optimizer.state.items()
        for kind, value in values.items()
    }


def load_moments(optimizer: torch.optim.Optimizer, model: nn.Module, found: dict[str, Tensor]) -> None:
    """Give the optimizer the state that `moments` returned, and no other."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, value in found.items():
        kind, _, name = key.partition("/")
        # A tensor of its own: what is read from a file may still lie in it.
        by_name.setdefault(name, {})[kind] = value.clone()
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = optimizer.state_dict()["param_groups"]
    state: dict[int, Any] = {}
    for group, numbered in zip(optimizer.param_groups, groups, strict=True):
        for parameter, number in zip(group["params"], numbered["params"], strict=True):
            if values := by_name.get(names[parameter]):
                state[number] = values
    optimizer.load_state_dict({"state": state, "param_groups": groups})
