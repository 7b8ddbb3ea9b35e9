"""Supervised training: cross entropy of the assistant's tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch, collate, needs_few_widths
from ist_core.encoding import Example
from ist_core.loss import summed_loss


class Supervised:
    """The loss at supervised positions; see `ist_core.loss`."""

    def __init__(self, model: PeftModel, *, pad: int, device: torch.device) -> None:
        self._model = model
        self._pad = pad
        self._device = device
        self._few_widths = needs_few_widths(device, model.dtype)

    def collate(self, items: Sequence[Example]) -> Batch:
        """Return the examples as one batch."""
        return collate(items, pad=self._pad, device=self._device, few_widths=self._few_widths)

    def summed_loss(self, batch: Batch) -> Tensor:
        """Return the sum of the cross entropies in nats."""
        return summed_loss(self._model, batch)

    def take_metrics(self) -> dict[str, float]:
        """Return nothing: the loss says it all."""
        return {}
