"""What sparse tuning tells about one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ist_core.ist.scorers.scorer import ProbeReport


@dataclass(frozen=True, slots=True)
class IstRecord:
    """One optimizer step as IST sees it; known as soon as the step's layers are selected."""

    step: int
    """Optimizer steps finished before this one."""
    layers: tuple[int, ...]
    """The decoder layers that have adapters, ascending: what the positions below stand for."""
    active: tuple[int, ...]
    """Positions of the layers that this step updates, ascending."""
    warming_up: bool
    """Whether all layers are updated because scores are not trusted yet."""
    scores: tuple[float, ...]
    """One importance score a layer; higher is more important, 0 at the start."""
    probabilities: tuple[float, ...]
    """Each layer's chance to be in a selection drawn from these scores; they add up to the layers drawn."""
    entropy: float
    """Of the probabilities, as a share of the most there can be: 1 is uniform, 0 always the same layer."""
    backward_depth: int
    """How many decoder layers the backward pass goes through: from the last to the lowest active one."""
    probe: ProbeReport | None
    """What the probe before this step saw; None where none was due."""
    seconds: float
    """Time spent on IST since the last step: scores, draw, freezing."""
    probe_seconds: float
    """The part of it that scores took: the probe, or looking at the last step's gradients."""
    bytes: int
    """Tensors that IST itself holds: scores, sampler, and the gradients of a gate probe at their peak."""


def entropy(probabilities: Sequence[float]) -> float:
    """Return the entropy of the normalised probabilities over that of uniform ones."""
    total = sum(probabilities)
    shares = [value / total for value in probabilities if value > 0.0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(probabilities))
