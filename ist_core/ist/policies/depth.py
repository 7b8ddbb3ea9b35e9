"""Depth-aware selection: importance per layer of backward pass that updating a layer alone would cost.

    weight_i = sigmoid(s_i) / (L - i)            mixed with a floor as in policies/importance.py

The backward pass reaches from the last layer down to the lowest selected one, so layer i costs L - i layers
of it; of two layers of equal importance the upper one is the cheaper.

    s  scores     i  layer, 0 nearest the input     L  layers
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ist_core.ist.inclusion import multinomial_inclusion
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scores import with_floor


class Depth:
    """Draws `count` layers by importance per unit of backward depth."""

    hold = 1
    settles = False

    def __init__(self, count: int, *, floor: float) -> None:
        self._count = count
        self._floor = floor

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection."""
        return sampler.draw(self._log_weights(scores), self._count)

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance."""
        return multinomial_inclusion(self._log_weights(scores), self._count)

    def _log_weights(self, scores: Tensor) -> Tensor:
        cost = torch.arange(len(scores), 0, -1, dtype=torch.float64)
        return with_floor(logsigmoid(scores) - cost.log(), floor=self._floor)
