"""Supervised training: cross entropy of the assistant's tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch, collate, needs_few_widths
from ist_core.encoding import Example
from ist_core.loss import right_tokens, supervised_logits, token_loss
from ist_core.objectives.objective import Measure


class Supervised:
    """The loss at supervised positions; see `ist_core.loss`."""

    accuracy = "mean_token_accuracy"

    def __init__(self, model: PeftModel, *, pad: int, device: torch.device) -> None:
        self._model = model
        self._pad = pad
        self._device = device
        self._few_widths = needs_few_widths(device, model.dtype)
        self._right: list[Tensor] = []
        self._tokens = 0

    def collate(self, items: Sequence[Example]) -> Batch:
        """Return the examples as one batch."""
        return collate(items, pad=self._pad, device=self._device, few_widths=self._few_widths)

    def summed_loss(self, batch: Batch) -> Tensor:
        """Return the sum of the cross entropies in nats."""
        logits = supervised_logits(self._model, batch)
        if self._model.training:  # and not probed
            self._right.append(right_tokens(logits, batch))
            self._tokens += batch.weight
        return token_loss(logits, batch)

    @torch.no_grad()
    def measure(self, batch: Batch) -> Measure:
        """Return the sum of the cross entropies, and how many tokens are predicted."""
        logits = supervised_logits(self._model, batch)
        return Measure(token_loss(logits, batch).item(), int(right_tokens(logits, batch)))

    def take_metrics(self) -> dict[str, float]:
        """Return the share of the supervised tokens that were predicted before the update.

        The counts stay on the device until then, so a step waits for it no more often than without them.
        """
        if not self._tokens:
            return {}
        share = sum(int(count) for count in self._right) / self._tokens
        self._right, self._tokens = [], 0
        return {"train_mean_token_accuracy": share}
