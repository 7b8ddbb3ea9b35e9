"""How many steps a run makes, and after which of them a checkpoint is due (no torch: for plans, too)."""

from __future__ import annotations

import math

from ist_core.spec import JobSpec


def total_steps(spec: JobSpec, examples: int) -> int:
    """Return how many optimizer steps a run on so many examples makes."""
    steps = spec.n_epochs * math.ceil(examples / spec.batch_size)
    return min(steps, spec.max_steps) if spec.max_steps else steps


def checkpoint_interval(spec: JobSpec, total: int) -> int:
    """Return how many steps a run of `total` makes from one checkpoint to the next."""
    return spec.checkpoint_interval or math.ceil(total / 10)
