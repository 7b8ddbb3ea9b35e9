"""Layers that compute again: how many, phase by phase, and what that takes and saves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ist_core.planner.kept_layers import KeptLayers
from ist_core.planner.lengths import Lengths
from ist_core.planner.plan import MARGIN, Plan
from tests.unit.ist_core.planner.test_plan import SETTING, of, plain_cpu

LONG = replace(SETTING, lengths=Lengths.at_limit(100, 512))


def within(peak: int, **keys: Any) -> Plan:
    """The plan of a job with long rows that has just room for so much."""
    return of(replace(LONG, device=plain_cpu(math.ceil(MARGIN * peak))), recompute="auto", **keys)


def test_as_few_layers_compute_again_as_make_it_fit() -> None:
    peaks = {level: of(LONG, recompute=level).memory.peak for level in ("none", "all")}
    assert within(peaks["none"]).kept is None
    assert within(peaks["all"]).kept == KeptLayers(0, 0)
    # While one of four layers computes again all of it is there, so three more make the difference.
    for count in (0, 1, 2):
        found = within(peaks["all"] + round((peaks["none"] - peaks["all"]) * (count + 0.5) / 3))
        assert (found.kept, found.verdict) == (KeptLayers(count, count), "fits")
    little = within(1)
    assert (little.kept, little.verdict) == (KeptLayers(0, 0), "does_not_fit")


def test_a_job_that_fits_as_it_is_computes_nothing_again() -> None:
    assert of().kept is None
    assert of() == of(recompute="none")


def test_after_the_warm_up_fewer_layers_compute_again() -> None:
    ist = {"policy": "settling", "update_fraction": 0.5, "warmup_steps": 15}
    whole = of(LONG, ist=ist).memory
    later = of(LONG, ist={**ist, "policy": "static", "warmup_steps": 0}).memory
    assert later.optimizer == whole.optimizer // 2, "moments of settled layers are forgotten"
    found = within(later.peak, ist=ist)
    assert found.kept is not None
    assert found.kept.later >= 2 > found.kept.warmup
    assert found.verdict == "fits"
    plain = of(LONG, ist=ist)
    assert found.operations_per_token > plain.operations_per_token


def test_layers_that_compute_again_take_a_forward_pass_more() -> None:
    plain, again = of(LONG).operations_per_token, of(LONG, recompute="all").operations_per_token
    assert 1.3 < again / plain < 1.5


def test_layers_that_compute_again_keep_their_input() -> None:
    ist = {"policy": "contiguous", "update_fraction": 0.25}
    none, some, every = (
        of(ist=ist, recompute=recompute).memory.activations_worst
        for recompute in ("none", "unselected", "all")
    )
    assert none > some > every
    inputs, whole = 8 * 32 * 4 * 64, none + 8 * 32 * 4 * 65
    assert every == 4 * inputs + whole // 4
    assert some == 3 * inputs + 2 * whole // 4
