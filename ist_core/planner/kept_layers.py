"""Of how many layers a step keeps the activations for its backward pass: what a spec's `recompute` comes to.

    none          of all that the backward pass reaches
    unselected    of as many as a selection holds, in a warm-up, too
    all           of none
    auto          of as many as the device has room for, phase by phase

A run has two phases: the steps of a warm-up, which update all layers, and those after it, which may go back
through fewer and so have room for more of them. Weights are the same whatever is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ist_core.planner.selections import Selections
from ist_core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class KeptLayers:
    """How many layers keep their activations, in the steps of each phase."""

    warmup: int
    later: int
    """After the warm-up. Where all layers are updated all the time, there is no warm-up."""


def said_kept(spec: JobSpec, layers: int) -> KeptLayers | None:
    """Return what a spec says that does not leave it open; None: every layer keeps its activations.

    Args:
        layers: of the model.
    """
    if spec.recompute == "none":
        return None
    kept = 0
    if spec.recompute == "unselected" and spec.ist is not None:
        kept = max(1, math.floor(spec.ist.update_fraction * layers))
    return KeptLayers(kept, kept)


def again_at_most(kept: KeptLayers | None, chosen: Selections) -> tuple[int, int]:
    """Return how many layers compute again, at most, in a step of the warm-up and in one after it."""
    if kept is None:
        return 0, 0
    later = chosen.later or chosen.worst
    return (
        max(0, math.ceil(chosen.worst.depth) - kept.warmup) if chosen.warmup_steps else 0,
        max(0, math.ceil(later.depth) - kept.later),
    )


def mean_again(kept: KeptLayers | None, chosen: Selections, *, steps: int) -> float:
    """Return how many layers compute again in the mean step of a run."""
    if kept is None:
        return 0.0
    share, depth = chosen.warmup_steps / steps, chosen.worst.depth
    warmup = share * max(0.0, depth - kept.warmup)
    if chosen.later is None:
        return warmup
    # The mean depth is that of all steps.
    later = (chosen.mean.depth - share * depth) / (1 - share)
    return warmup + (1 - share) * max(0.0, later - kept.later)
