"""Supervised training: cross entropy of the assistant's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor

from ist_core.batches import Batch, collate, needs_few_widths
from ist_core.encoding import Example
from ist_core.kernels.packing import can_pack
from ist_core.loss import TokenLoss, token_loss
from ist_core.objectives.objective import Measure, Settled
from ist_core.prefix import Prefix, can_be_passed, read_together


class Supervised:
    """The loss at supervised positions; see `ist_core.loss`.

    Args:
        training: rows that settled layers read together where their lengths are similar, `together` at once.
        folder: on whose disk hidden states of settled layers are kept. None: the system's temporary one.
    """

    accuracy = "mean_token_accuracy"

    def __init__(
        self,
        model: PeftModel,
        *,
        pad: int,
        device: torch.device,
        training: Sequence[Example] = (),
        together: int = 1,
        folder: Path | None = None,
    ) -> None:
        self._model = model
        self._training = training
        self._together = together
        self._folder = folder
        self._prefix: Prefix | None = None
        self._pad = pad
        self._device = device
        self._few_widths = needs_few_widths(device, model.dtype)
        self._packs = can_pack(model)
        self._right: list[Tensor] = []
        self._tokens = 0

    def settle(self, depth: int) -> None:
        """Make what the lowest `depth` layers make of a row once only, where the model allows it."""
        if can_be_passed(self._model):
            groups = read_together((example.tokens for example in self._training), self._together)
            self._prefix = Prefix(
                self._model, depth, collate=self._batch_of, groups=groups, folder=self._folder
            )

    @property
    def settled(self) -> Settled | None:
        """What is kept of the layers that are passed by; None: none are."""
        prefix = self._prefix
        return Settled(prefix.depth, rows=prefix.rows, bytes=prefix.bytes) if prefix else None

    def collate(self, items: Sequence[Example]) -> Batch:
        """Return the examples as one batch."""
        return collate(
            items, pad=self._pad, device=self._device, few_widths=self._few_widths, packed=self._packs
        )

    def summed_loss(self, batch: Batch) -> Tensor:
        """Return the sum of the cross entropies in nats."""
        found = self._token_loss(batch)
        if self._model.training:  # and not probed
            self._right.append(found.right)
            self._tokens += batch.weight
        return found.loss

    @torch.no_grad()
    def measure(self, batch: Batch) -> Measure:
        """Return the sum of the cross entropies, and how many tokens are predicted."""
        found = self._token_loss(batch)
        return Measure(found.loss.item(), int(found.right))

    def take_metrics(self) -> dict[str, float]:
        """Return the share of the supervised tokens that were predicted before the update.

        The counts stay on the device until then, so a step waits for it no more often than without them.
        """
        if not self._tokens:
            return {}
        share = sum(int(count) for count in self._right) / self._tokens
        self._right, self._tokens = [], 0
        return {"train_mean_token_accuracy": share}

    def _token_loss(self, batch: Batch) -> TokenLoss:
        with self._prefix.passed(batch) if self._prefix else nullcontext():
            return token_loss(self._model, batch)

    def _batch_of(self, rows: Sequence[tuple[int, ...]]) -> Batch:
        return self.collate([Example(row, (False,) * len(row), truncated=False) for row in rows])
