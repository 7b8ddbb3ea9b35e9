"""Which layers sparse tuning updates in a step: the worst selection of a run, and the mean one.

The backward pass goes from the last layer down to the lowest selected one: depth = L - lowest. At equal
scores, which is where every run begins, the mean depth of a selection of N among L layers is

    importance, random, lisa   L - (L - N) / (N + 1)          static   N
    contiguous, one run        L - (L - N) / 2                settling          N, rounded up
    two runs, depth            see below

Warm-up steps (standard mode) select all layers, so in most runs they are the worst. After it `static` and
`settling` keep one selection for good: the L - N layers below it have settled.

    L  layers      N  update_count
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

from ist_core.schedule import warmup_steps
from ist_core.settled import SHARE_SLACK
from ist_core.spec import IstSpec

_DRAWS = 2000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Layers in the backward pass, and those of them whose adapters are updated; means may be fractions."""

    depth: float
    active: float


@dataclass(frozen=True, slots=True)
class Selections:
    """The selections of a run."""

    worst: Selection
    later: Selection | None
    """The worst one after the warm-up; None: there is no step after it."""
    mean: Selection
    """Over all its steps, warm-up included."""
    updated: int
    """Layers that may have been updated by the end: those that the optimizer keeps moments of."""
    warmup_steps: int
    settled: int
    """Layers, counted from the input, that no step after the warm-up updates; 0: selections change."""


def selections(ist: IstSpec | None, *, layers: int, steps: int) -> Selections:
    """Return the selections of a run of `steps` steps; without IST every step updates all layers."""
    whole = Selection(layers, layers)
    if ist is None:
        return Selections(whole, whole, whole, layers, 0, 0)
    count = _count(ist, layers)
    warmup = min(steps, warmup_steps(ist, steps))
    share = warmup / steps
    settles = ist.policy in ("static", "settling")
    later = None if warmup == steps else Selection(count if settles else layers, count)
    worst = whole if warmup or later is None else later
    depth = _mean_depth(ist, layers, count)
    mean = Selection(share * layers + (1 - share) * depth, share * layers + (1 - share) * count)
    hold = _hold(ist)
    drawn = count if settles else min(layers, count * math.ceil((steps - warmup) / hold))
    settled = layers - count if settles and later else 0
    return Selections(worst, later, mean, layers if warmup else drawn, warmup, settled)


def _count(ist: IstSpec, layers: int) -> int:
    if ist.policy == "settling":
        return max(1, math.ceil((ist.update_fraction - SHARE_SLACK) * layers))
    return max(1, math.floor(ist.update_fraction * layers))


def _hold(ist: IstSpec) -> int:
    if ist.hold != "auto":
        return ist.hold
    return 20 if ist.policy == "lisa" else 1


def _mean_depth(ist: IstSpec, layers: int, count: int) -> float:
    match ist.policy:
        case "static" | "settling":
            return count
        case "contiguous":
            return _two_runs(layers, count) if ist.runs == 2 and count > 1 else layers - (layers - count) / 2
        case "depth":
            return _by_depth(ist.floor if ist.mode == "standard" else 0.0, layers, count)
        case _:
            return layers - (layers - count) / (count + 1)


def _two_runs(layers: int, count: int) -> float:
    """The mean over all pairs of runs of ceil(N / 2) and floor(N / 2) layers, in either order."""
    # By where the upper run starts, and how long the lower is; runs that touch are one run in either order.
    lowest: dict[tuple[int, int, int], int] = {}
    for lower in {count // 2, count - count // 2}:
        for start in range(layers - count + 1):
            lowest[start, 0, 0] = start
            for second in range(start + lower + 1, layers - (count - lower) + 1):
                lowest[start, second, lower] = start
    return layers - sum(lowest.values()) / len(lowest)


@lru_cache(maxsize=256)
def _by_depth(floor: float, layers: int, count: int) -> float:
    """The mean of draws without replacement by weight 1 / (L - i), mixed with the floor; of a fixed seed."""
    raw = [1 / (layers - index) for index in range(layers)]
    weights = [(1 - floor) * value / sum(raw) + floor / layers for value in raw]
    generator = random.Random(_SEED)  # noqa: S311  # a mean, no secret
    total = 0
    for _ in range(_DRAWS):
        times = [(generator.expovariate(weight), index) for index, weight in enumerate(weights)]
        total += layers - min(index for _, index in sorted(times)[:count])
    return total / _DRAWS
