"""How many steps a run makes, how many warm it up, when a checkpoint is due (no torch: for plans, too)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from ist_core.errors import IstError
from ist_core.spec import IstSpec, JobSpec, Policy

_WARMUP_PARTS: Mapping[Policy, int] = MappingProxyType(
    {"settling": 4, "importance": 10, "contiguous": 10, "depth": 10}
)
"""standard mode: one step in so many updates all layers first, where the user does not say how many do."""


def total_steps(spec: JobSpec, examples: int) -> int:
    """Return how many optimizer steps a run on so many examples makes."""
    steps = spec.n_epochs * math.ceil(examples / spec.batch_size)
    return min(steps, spec.max_steps) if spec.max_steps else steps


def checkpoint_interval(spec: JobSpec, total: int) -> int:
    """Return how many steps a run of `total` makes from one checkpoint to the next."""
    return spec.checkpoint_interval or math.ceil(total / 10)


def warmup_steps(ist: IstSpec, total: int | None) -> int:
    """Return how many steps update every layer before the policy selects, were there no end to the run.

    Args:
        total: steps of the whole run; None: not known.

    Raises:
        IstError: if it is to be a share of the steps and their number is not known.
    """
    if ist.mode == "paper":
        return 0
    if ist.warmup_steps != "auto":
        return ist.warmup_steps
    parts = _WARMUP_PARTS.get(ist.policy)
    if parts is None:
        return 0
    if total is None:
        raise IstError(
            "warmup_steps 'auto' is a share of all steps: give total_steps, or a number of warmup_steps",
            param="total_steps",
        )
    return math.ceil(total / parts)
