"""Settling: all layers in a warm-up; then, for good, those nearest the output that hold most importance.

    N = min { n : sum of sigmoid(s_i) over the n layers nearest the output >= f * sum_j sigmoid(s_j) }

At equal scores N is f L, rounded up; fewer layers are left where importance lies near the output. What is
below them has settled: it is neither updated nor gone back through any more, nor even made again
(ist_core/prefix.py).

    s  scores     f  update_fraction     L  layers
"""

from __future__ import annotations

import torch
from torch import Tensor

from ist_core.ist.sampler import LayerSampler
from ist_core.settled import SHARE_SLACK


class Settling:
    """Selects the smallest run of layers nearest the output that holds `share` of the importance."""

    hold = 2**31
    settles = True

    def __init__(self, share: float) -> None:
        self._share = share

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of the one selection."""
        layers = len(scores)
        held = torch.sigmoid(scores).flip(0).cumsum(0)
        enough = held >= (self._share - SHARE_SLACK) * held[-1]
        count = int(enough.nonzero()[0]) + 1
        return tuple(range(layers - count, layers))

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance, were the selection made now: 1 or 0."""
        chances = torch.zeros(len(scores), dtype=torch.float64)
        chances[self.draw(scores, LayerSampler(0))[0] :] = 1.0
        return chances
