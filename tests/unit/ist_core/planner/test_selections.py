"""Worst and mean selections against the policies' own draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ist_core.ist.policies import make_policy
from ist_core.ist.sampler import LayerSampler
from ist_core.planner.selections import Selection, selections
from ist_core.spec import IstSpec

LAYERS = 12
DRAWS = 1500
POLICIES: list[dict[str, Any]] = [
    {"policy": "importance"},
    {"policy": "importance", "reading": "uniform"},
    {"policy": "depth"},
    {"policy": "depth", "floor": 0.0},
    {"policy": "contiguous"},
    {"policy": "contiguous", "runs": 2},
    {"policy": "contiguous", "runs": 2, "update_fraction": 0.42},
    {"policy": "random"},
    {"policy": "lisa"},
    {"policy": "static"},
    {"policy": "settling"},
    {"policy": "settling", "update_fraction": 0.42},
]


@pytest.mark.parametrize("keys", POLICIES, ids=str)
def test_mean_depth_is_that_of_the_draws(keys: dict[str, Any]) -> None:
    spec = IstSpec(**keys, warmup_steps=0)
    found = selections(spec, layers=LAYERS, steps=100)
    count = int(found.worst.active)
    policy, sampler = make_policy(spec, layers=LAYERS, count=count), LayerSampler(0)
    drawn = [policy.draw(torch.zeros(LAYERS, dtype=torch.float64), sampler) for _ in range(DRAWS)]
    assert found.mean.depth == pytest.approx(sum(LAYERS - min(one) for one in drawn) / DRAWS, abs=0.25)
    assert max(LAYERS - min(one) for one in drawn) == found.worst.depth
    assert {len(one) for one in drawn} == {count}


@pytest.mark.parametrize("keys", POLICIES, ids=str)
def test_layers_settle_where_the_policy_settles(keys: dict[str, Any]) -> None:
    spec = IstSpec(**keys)
    found = selections(spec, layers=LAYERS, steps=100)
    policy = make_policy(spec, layers=LAYERS, count=max(1, int(spec.update_fraction * LAYERS)))
    lowest = min(policy.draw(torch.zeros(LAYERS, dtype=torch.float64), LayerSampler(0)))
    assert found.settled == (lowest if policy.settles else 0)


def test_a_warm_up_is_the_worst_selection_and_counts_in_the_mean() -> None:
    found = selections(IstSpec(policy="importance", update_fraction=0.25), layers=LAYERS, steps=50)
    assert found.warmup_steps == 5
    assert found.worst == Selection(LAYERS, LAYERS)
    assert found.updated == LAYERS
    later = LAYERS - (LAYERS - 3) / 4
    assert found.mean == Selection(0.1 * LAYERS + 0.9 * later, 0.1 * LAYERS + 0.9 * 3)


@pytest.mark.parametrize(
    ("keys", "steps", "warmup"),
    [
        ({"mode": "paper"}, 50, 0),
        ({"policy": "random"}, 50, 0),
        ({"warmup_steps": 7}, 50, 7),
        ({"warmup_steps": 70}, 50, 50),
        ({"policy": "importance"}, 51, 6),
        ({}, 50, 13),
    ],
)
def test_warm_up_steps(keys: dict[str, Any], steps: int, warmup: int) -> None:
    assert selections(IstSpec(**keys), layers=LAYERS, steps=steps).warmup_steps == warmup


def test_without_ist_every_layer_is_updated() -> None:
    found = selections(None, layers=LAYERS, steps=3)
    assert found.worst == found.mean == Selection(LAYERS, LAYERS)


@pytest.mark.parametrize(("policy", "updated"), [("static", 3), ("random", 12), ("lisa", 6)])
def test_layers_that_have_moments_in_the_end(policy: str, updated: int) -> None:
    spec = IstSpec.model_validate({"policy": policy, "update_fraction": 0.25})
    assert selections(spec, layers=LAYERS, steps=40).updated == updated
