"""Selection by importance, in both readings of the paper (Yao et al., 2024, section 3.1).

    multinomial  N successive draws without replacement, weight_i = sigmoid(s_i)     (the reference code)
    uniform      the N largest of p_i ~ U(0, sigmoid(s_i))                           (the paper's text)

With a floor f > 0 the weights are mixed with even ones, so that no layer starves: weight_i becomes
(1 - f) * weight_i / sum_j weight_j + f / L.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ist_core.ist.inclusion import multinomial_inclusion, uniform_inclusion
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scores import update_log_weights


class Importance:
    """Draws `count` layers, the important ones more often."""

    hold = 1
    settles = False

    def __init__(self, count: int, *, floor: float, reading: Literal["multinomial", "uniform"]) -> None:
        self._count = count
        self._floor = floor
        self._reading = reading

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection."""
        weights = update_log_weights(scores, floor=self._floor)
        if self._reading == "multinomial":
            return sampler.draw(weights, self._count)
        return sampler.draw_largest(torch.exp(weights), self._count)

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance."""
        weights = update_log_weights(scores, floor=self._floor)
        if self._reading == "multinomial":
            return multinomial_inclusion(weights, self._count)
        return uniform_inclusion(torch.exp(weights), self._count)
