"""Keeps gradient checkpointing from making the backward pass longer than the selected layers need."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


def keep_truncation(model: nn.Module) -> None:
    """Let the backward pass end at the lowest selected layer, also under gradient checkpointing.

    Trainers that checkpoint make the embeddings' output require gradients. Reentrant checkpointing needs
    that: it is blind to layers whose input has no gradient. It costs a backward pass through all layers, so
    the hook is taken off again wherever checkpointing is non-reentrant (transformers' default).
    """
    if any(
        _is_reentrant(module) for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    ):
        return
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.disable_input_require_grads()  # type: ignore[no-untyped-call]  # transformers has no types here


def _is_reentrant(layer: GradientCheckpointingLayer) -> bool:
    """Whether a layer is checkpointed the reentrant way; transformers keeps the choice in a partial."""
    if not layer.gradient_checkpointing:
        return False
    function: Any = layer._gradient_checkpointing_func  # noqa: SLF001  # it is told nowhere else
    return bool(function.keywords.get("use_reentrant", True))
