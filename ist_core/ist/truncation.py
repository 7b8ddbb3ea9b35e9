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
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from ist_core.ist.layers import decoder_layers


class Truncation:
    """Cuts the gradient off below the first layer while it is held, unless the embeddings are trained."""

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
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self._embeddings_trained():
            return None
        return tuple(map(_detached, args)), {name: _detached(value) for name, value in kwargs.items()}

    def _embeddings_trained(self) -> bool:
        return any(
            parameter.requires_grad
            for module in self._model.modules()
            if isinstance(module, PreTrainedModel)
            for parameter in module.get_input_embeddings().parameters()
        )


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) and value.requires_grad else value


def _is_reentrant(module: nn.Module) -> bool:
    """Whether a layer is checkpointed the reentrant way; transformers keeps the choice in a partial."""
    if not isinstance(module, GradientCheckpointingLayer) or not module.gradient_checkpointing:
        return False
    function: Any = module._gradient_checkpointing_func  # noqa: SLF001  # it is told nowhere else
    return bool(function.keywords.get("use_reentrant", True))
