"""The training loss: logits and cross entropy at supervised positions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ist_core.batches import Batch
from ist_core.errors import ModelError
from ist_core.kernels.cross_entropy import linear_cross_entropy
from ist_core.kernels.families import base_of, is_hooked, known_classes
from ist_core.kernels.forwards import replaced
from ist_core.kernels.packing import reading


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """How a model predicts a batch's supervised tokens: two scalars on the device."""

    loss: torch.Tensor
    """The sum of the cross entropies in nats, in float32."""
    right: torch.Tensor
    """How many tokens it predicts; without a gradient."""


def token_loss(model: PeftModel, batch: Batch) -> TokenLoss:
    """Return the loss on the batch's supervised tokens, and how many of them the model predicts.

    In families whose modules are known here the logits of a chunk of tokens are there at once, otherwise
    those of all supervised tokens.
    """
    base, head = _parts(model)
    if _is_last(head, base):
        states = _states(model, head, batch)
        return TokenLoss(*linear_cross_entropy(states, head.weight, head.bias, batch.targets))
    logits = supervised_logits(model, batch)
    loss = cross_entropy(logits.float(), batch.targets, reduction="sum")
    return TokenLoss(loss, (logits.detach().argmax(dim=-1) == batch.targets).sum())


def summed_loss(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Return the sum of the batch's cross entropies in nats, over its supervised tokens, in float32."""
    return token_loss(model, batch).loss


def supervised_logits(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Return the logits that predict the batch's supervised tokens, (N, vocab).

    The hidden states are gathered just before the model's output layer, so logits have shape (1, N, vocab)
    and not (B, T, vocab), and whatever the model does after that layer (scaling, soft caps) still happens.
    """

    def gather(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_gathered(args[0], batch), *args[1:])

    hook = _parts(model)[1].register_forward_pre_hook(gather)
    try:
        return _output(model, batch)
    finally:
        hook.remove()


def _states(model: PeftModel, head: nn.Linear, batch: Batch) -> torch.Tensor:
    """Return what the output layer reads at supervised positions, (N, hidden): it hands it on as it is.

    The whole model is called all the same, for IST and peft listen to its calls.
    """
    with replaced(head, lambda states: _gathered(states, batch)):
        return _output(model, batch)


def read(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Call the model with the batch's tokens; return its logits, (B, T, vocab) or (1, P, vocab)."""
    # No mask: padding comes last, so a causal model looks at none of it. Packed rows begin anew at
    # position 0, by which transformers tells them apart wherever attention takes no fast path.
    places = {} if batch.packed is None else {"position_ids": batch.packed.places}
    with reading(batch.packed):
        output: torch.Tensor = model(input_ids=batch.tokens, use_cache=False, **places).logits
    return output


def _output(model: PeftModel, batch: Batch) -> torch.Tensor:
    return read(model, batch).squeeze(0)


def _gathered(states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(B, T, hidden) to (1, N, hidden)"""
    return states.flatten(0, 1).index_select(0, batch.positions).unsqueeze(0)


def _parts(model: PeftModel) -> tuple[PreTrainedModel, nn.Module]:
    """Return the base model and its output layer."""
    base = base_of(model)
    head = base.get_output_embeddings()  # type: ignore[no-untyped-call]  # transformers has no types here
    if not isinstance(head, nn.Module):
        raise ModelError("the model has no output layer, so it is no causal language model")
    return base, head


def _is_last(head: nn.Module, base: PreTrainedModel) -> TypeGuard[nn.Linear]:
    """Whether logits are a frozen linear module's output, and nobody else looks at them."""
    return (
        known_classes(base).get(type(base)) == "model"
        and type(head) is nn.Linear
        and not is_hooked(head)
        and not any(parameter.requires_grad for parameter in head.parameters())
    )
