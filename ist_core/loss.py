"""The training loss: logits and cross entropy at supervised positions only."""

from __future__ import annotations

from typing import Any, cast

import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ist_core.batches import Batch
from ist_core.errors import ModelError


def summed_loss(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Return the sum of the batch's cross entropies in nats, over its supervised tokens, in float32."""
    return token_loss(supervised_logits(model, batch), batch)


def token_loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the sum of the cross entropies of a batch with these logits, (N, vocab)."""
    return cross_entropy(logits.float(), batch.targets, reduction="sum")


def right_tokens(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return how many supervised tokens the logits, (N, vocab), predict: a scalar without a gradient."""
    return (logits.detach().argmax(dim=-1) == batch.targets).sum()


def supervised_logits(model: PeftModel, batch: Batch) -> torch.Tensor:
    """Return the logits that predict the batch's supervised tokens, (N, vocab).

    The hidden states are gathered just before the model's output layer, so logits have shape (1, N, vocab)
    and not (B, T, vocab), and whatever the model does after that layer (scaling, soft caps) still happens.
    """
    # peft types the base as a bare Module.
    base = cast("PreTrainedModel", model.get_base_model())
    head = base.get_output_embeddings()  # type: ignore[no-untyped-call]  # transformers has no types here
    if not isinstance(head, nn.Module):
        raise ModelError("the model has no output layer, so it is no causal language model")

    def gather(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0].flatten(0, 1).index_select(0, batch.positions).unsqueeze(0), *args[1:])

    hook = head.register_forward_pre_hook(gather)
    try:
        # No mask: padding comes last, so a causal model looks at none of it.
        output = model(input_ids=batch.tokens, use_cache=False)
    finally:
        hook.remove()
    logits: torch.Tensor = output.logits
    return logits.squeeze(0)
