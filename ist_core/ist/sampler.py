"""Weighted draws of layers without replacement, from a seeded generator of their own."""

from __future__ import annotations

import math

import torch

_TRIES = 50
"""How many draws one distinct subset may take before fewer candidates are accepted."""


class LayerSampler:
    """Draws subsets of layers; its state can be saved and restored.

    The draws run on the CPU in float64, so that they do not depend on the training device.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator()
        self._generator.manual_seed(seed)

    def draw(self, log_weights: torch.Tensor, count: int) -> tuple[int, ...]:
        """Return `count` distinct indices, ascending, drawn one after the other in proportion to the weights.

        Uses exponential races (Efraimidis and Spirakis, 2006) on the logarithms of the weights (shape (L,),
        any offset): no weight underflows to an impossible draw.
        """
        races = torch.empty(len(log_weights), dtype=torch.float64).exponential_(generator=self._generator)
        order = torch.topk(log_weights.double() - races.log(), count).indices
        return tuple(sorted(order.tolist()))

    def draw_distinct(self, log_weights: torch.Tensor, count: int, subsets: int) -> list[tuple[int, ...]]:
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

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the generator's state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from a state that `state_dict` returned."""
        self._generator.set_state(state["generator"])
