"""Selection without scores: every layer has the same chance.

`RandomSparse` draws anew for every selection: the paper's own control, RST (Yao et al., 2024, section 4.4).
`Lisa` draws the same way and holds on to the draw, as LISA does with whole layers (arXiv 2403.17919).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ist_core.ist.sampler import LayerSampler


class RandomSparse:
    """Draws `count` of `layers` layers evenly."""

    hold = 1
    settles = False

    def __init__(self, layers: int, count: int) -> None:
        self._layers = layers
        self._count = count

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection."""
        return sampler.draw_evenly(self._layers, self._count)

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance."""
        return torch.full((self._layers,), self._count / self._layers, dtype=torch.float64)


class Lisa(RandomSparse):
    """Draws `count` of `layers` layers evenly, and holds them for 20 steps unless told otherwise."""

    hold = 20
