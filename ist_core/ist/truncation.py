"""Lets the backward pass end at the lowest selected layer, also under gradient checkpointing.

Trainers and peft that checkpoint make the embeddings' output require gradients, by hooks that come back
(TRL's DPOTrainer adds one a step). Reentrant checkpointing needs that: it is blind to layers whose input has
no gradient. It costs a backward pass through all layers, so wherever checkpointing is non-reentrant, as is
transformers' default, the input of the first layer is cut off again.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers.modeling_layers import GradientCheckpointingLayer

from ist_core.ist.layers import decoder_layers

_LEAF = "torch::autograd::AccumulateGrad"


class Truncation:
    """Cuts the gradient off below the first layer while it is held, unless something below it is trained."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handle: RemovableHandle | None = None

    def hold(self) -> None:
        """Begin, unless some layer is checkpointed the reentrant way."""
        if self._handle is None and not any(map(_is_reentrant, self._model.modules())):
            first = decoder_layers(self._model)[1][0]
            self._handle = first.register_forward_pre_hook(self._cut, with_kwargs=True)

    def release(self) -> None:
        """End."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _cut(
        self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return tuple(map(_cut_off, args)), {name: _cut_off(value) for name, value in kwargs.items()}


def _cut_off(value: Any) -> Any:
    """Detach a tensor, unless a trained weight is behind it (embeddings, or a norm after them)."""
    if not isinstance(value, Tensor) or not value.requires_grad or _has_weight(value.grad_fn):
        return value
    return value.detach()


def _has_weight(node: Any) -> bool:
    """Whether a parameter is among the leaves of an autograd graph; what hooks made a leaf is none."""
    if node is None:
        return False
    if node.name() == _LEAF:
        return isinstance(node.variable, nn.Parameter)
    return any(_has_weight(behind) for behind, _ in node.next_functions)


def _is_reentrant(module: nn.Module) -> bool:
    """Whether a layer is checkpointed the reentrant way; transformers keeps the choice in a partial."""
    if not isinstance(module, GradientCheckpointingLayer) or not module.gradient_checkpointing:
        return False
    function: Any = module._gradient_checkpointing_func  # noqa: SLF001  # it is told nowhere else
    return bool(function.keywords.get("use_reentrant", True))
