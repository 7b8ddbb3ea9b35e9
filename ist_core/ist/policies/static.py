"""Static selection: always the layers nearest the output, whose backward pass is the shortest."""

from __future__ import annotations

import torch
from torch import Tensor

from ist_core.ist.sampler import LayerSampler


class Static:
    """Selects the top `count` of `layers` layers."""

    hold = 1
    settles = True

    def __init__(self, layers: int, count: int) -> None:
        self._layers = layers
        self._count = count

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection."""
        return tuple(range(self._layers - self._count, self._layers))

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance: 1 or 0."""
        chances = torch.zeros(self._layers, dtype=torch.float64)
        chances[self._layers - self._count :] = 1.0
        return chances
