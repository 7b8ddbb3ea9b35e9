"""Weighted draws of layers without replacement, from a seeded generator of their own."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import torch
from torch import Tensor

STATE_BYTES = 5056
"""The size of a sampler's state: that of torch's CPU generator."""
_TRIES = 50
"""How many draws one distinct subset may take before fewer candidates are accepted."""


class LayerSampler:
    """Draws subsets of layers; its state can be saved and restored.

    The draws run on the CPU in float64, so that they do not depend on the training device.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator()
        self._generator.manual_seed(seed)

    def draw(self, log_weights: Tensor, count: int) -> tuple[int, ...]:
        """Return `count` distinct indices, ascending, drawn one after the other in proportion to the weights.

        Uses exponential races (Efraimidis and Spirakis, 2006) on the logarithms of the weights (shape (L,),
        any offset): no weight underflows to an impossible draw.
        """
        races = torch.empty(len(log_weights), dtype=torch.float64).exponential_(generator=self._generator)
        return _largest(log_weights.double() - races.log(), count)

    def draw_largest(self, bounds: Tensor, count: int) -> tuple[int, ...]:
        """Return the indices, ascending, of the `count` largest of independent U(0, bounds_i)."""
        keys = torch.rand(len(bounds), dtype=torch.float64, generator=self._generator)
        return _largest(bounds.double() * keys, count)

    def draw_evenly(self, layers: int, count: int) -> tuple[int, ...]:
        """Return `count` of `layers` indices, ascending; every subset has the same chance."""
        return tuple(sorted(torch.randperm(layers, generator=self._generator)[:count].tolist()))

    def pick(self, weights: Sequence[float]) -> int:
        """Return one index, drawn in proportion to the weights."""
        values = torch.tensor(weights, dtype=torch.float64)
        return int(torch.multinomial(values, 1, generator=self._generator).item())

    def draw_distinct(self, log_weights: Tensor, count: int, subsets: int) -> list[tuple[int, ...]]:
        """Return up to `subsets` different draws, redrawing duplicates; always ends.

        Fewer come back when fewer exist, or when the weights leave the others practically no chance.
        """
        wanted = min(subsets, math.comb(len(log_weights), count))
        found: list[tuple[int, ...]] = []
        for _ in range(_TRIES * wanted):
            subset = self.draw(log_weights, count)
            if subset not in found:
                found.append(subset)
            if len(found) == wanted:
                break
        return found

    def state_dict(self) -> str:
        """Return the generator's state as text, so that it can be a part of any JSON."""
        return base64.b64encode(self._generator.get_state().numpy().tobytes()).decode()

    def load_state_dict(self, state: str) -> None:
        """Continue from a state that `state_dict` returned."""
        self._generator.set_state(torch.frombuffer(bytearray(base64.b64decode(state)), dtype=torch.uint8))


def _largest(keys: Tensor, count: int) -> tuple[int, ...]:
    return tuple(sorted(torch.topk(keys, count).indices.tolist()))
