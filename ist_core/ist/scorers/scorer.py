"""What every scorer can do, and what a probe tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ist_core.ist.probe import Probe
from ist_core.ist.sampler import LayerSampler


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What one probe saw; the parts that its scorer does not look at are empty."""

    candidates: tuple[tuple[int, ...], ...] = ()
    """The suppressed layers of each candidate."""
    losses: tuple[float, ...] = ()
    """The loss of each candidate, in nats."""
    effects: tuple[float, ...] = ()
    """For each layer, the relative rise of the loss if it alone were suppressed, to first order."""
    tensor_bytes: int = 0
    """The most that the scorer's own gradients took."""


class Scorer(Protocol):
    """Moves importance scores by what it sees in a probe."""

    def score(
        self, scores: Tensor, probe: Probe, number: int, sampler: LayerSampler
    ) -> tuple[Tensor, ProbeReport]:
        """Return the scores (shape (L,)) after probe `number`, and what it saw.

        The model is in evaluation mode and every layer's adapters are trainable meanwhile.
        """
        ...
