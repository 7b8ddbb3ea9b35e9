"""What every selection policy can do."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ist_core.ist.sampler import LayerSampler


class Policy(Protocol):
    """Selects the layers to update; keeps no state, so that scores and sampler are all there is to save."""

    hold: int
    """How many steps a selection is kept when the user does not say."""
    settles: bool
    """Whether all selections of a run are the same one."""

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection, ascending, given the scores (shape (L,), float64)."""
        ...

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance to be in such a selection, shape (L,)."""
        ...
