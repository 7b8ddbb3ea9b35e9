"""Selection policies: what each draws, how often, and that the frequencies are those it tells."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from ist_core.ist.policies import Contiguous, Policy, make_policy
from ist_core.ist.sampler import LayerSampler
from ist_core.spec import IstSpec

LAYERS, COUNT, DRAWS = 7, 3, 4000
SCORES = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
POLICIES: list[dict[str, object]] = [
    {"policy": "importance"},
    {"policy": "importance", "reading": "uniform"},
    {"policy": "importance", "mode": "paper"},
    {"policy": "importance", "mode": "paper", "reading": "uniform"},
    {"policy": "depth"},
    {"policy": "contiguous"},
    {"policy": "contiguous", "runs": 2},
    {"policy": "random"},
    {"policy": "lisa"},
    {"policy": "static"},
]


def _policy(fields: dict[str, object], *, layers: int = LAYERS, count: int = COUNT) -> Policy:
    return make_policy(IstSpec.model_validate(fields), layers=layers, count=count)


def _runs(selection: tuple[int, ...]) -> int:
    return 1 + sum(second != first + 1 for first, second in itertools.pairwise(selection))


@pytest.mark.parametrize("fields", POLICIES, ids=lambda fields: "-".join(map(str, fields.values())))
def test_frequencies_are_the_told_probabilities(fields: dict[str, object]) -> None:
    policy, sampler = _policy(fields), LayerSampler(3)
    told = policy.inclusion(SCORES)
    assert told.sum().item() == pytest.approx(COUNT)
    counts = torch.zeros(LAYERS, dtype=torch.float64)
    for _ in range(DRAWS):
        selection = policy.draw(SCORES, sampler)
        assert len(set(selection)) == COUNT
        assert list(selection) == sorted(selection)
        counts[list(selection)] += 1
    error = (told * (1 - told) / DRAWS).sqrt()
    assert bool(((counts / DRAWS - told).abs() <= 4 * error + 1e-12).all())


@pytest.mark.parametrize("policy", ["importance", "depth", "contiguous"])
def test_important_layers_are_drawn_more_often_and_none_starves(policy: str) -> None:
    chances = _policy({"policy": policy}).inclusion(SCORES)
    assert chances[5] > chances[1]
    extreme = torch.tensor([-50.0] * 6 + [50.0], dtype=torch.float64)
    assert _policy({"policy": policy}).inclusion(extreme).min() > 0.01


def test_depth_prefers_the_cheaper_of_two_equal_layers() -> None:
    equal = torch.zeros(LAYERS, dtype=torch.float64)
    chances = _policy({"policy": "depth", "floor": 0.0}, count=1).inclusion(equal)
    cost = torch.arange(LAYERS, 0, -1, dtype=torch.float64)
    torch.testing.assert_close(chances, (1 / cost) / (1 / cost).sum())


@pytest.mark.parametrize("runs", [1, 2])
def test_contiguous_draws_every_run_and_nothing_else(runs: int) -> None:
    policy, sampler = Contiguous(LAYERS, 4, runs=runs, floor=0.1), LayerSampler(0)
    drawn = {policy.draw(SCORES, sampler) for _ in range(3000)}
    assert all(_runs(selection) <= runs for selection in drawn)
    expected = [
        selection
        for selection in itertools.combinations(range(LAYERS), 4)
        if _runs(selection) == 1 or (runs == 2 and _halves(selection))
    ]
    assert sorted(drawn) == expected


def _halves(selection: tuple[int, ...]) -> bool:
    """Two runs of two."""
    return selection[1] == selection[0] + 1 and selection[3] == selection[2] + 1


@pytest.mark.parametrize("runs", [1, 2])
def test_one_layer_is_one_run(runs: int) -> None:
    policy = Contiguous(3, 1, runs=runs, floor=0.0)
    assert policy.inclusion(torch.zeros(3, dtype=torch.float64)).tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("fields", POLICIES, ids=lambda fields: "-".join(map(str, fields.values())))
def test_all_layers_can_be_selected(fields: dict[str, object]) -> None:
    policy = _policy(fields, count=LAYERS)
    assert policy.draw(SCORES, LayerSampler(0)) == tuple(range(LAYERS))
    assert policy.inclusion(SCORES).tolist() == pytest.approx([1.0] * LAYERS)


def test_backward_depths_of_the_notes() -> None:
    """Mean layers in the backward pass for L = 32, N = 8 under even scores (notes, section 3)."""
    even, sampler = torch.zeros(32, dtype=torch.float64), LayerSampler(1)
    expected = {"random": 29.3, "contiguous": 20.0, "static": 8.0}
    for name, depth in expected.items():
        policy = _policy({"policy": name}, layers=32, count=8)
        mean = sum(32 - policy.draw(even, sampler)[0] for _ in range(2000)) / 2000
        assert mean == pytest.approx(depth, abs=0.6)
    two = _policy({"policy": "contiguous", "runs": 2}, layers=32, count=8)
    mean = sum(32 - two.draw(even, sampler)[0] for _ in range(2000)) / 2000
    assert mean == pytest.approx(24.0, abs=0.8)
    assert math.comb(32, 8) > 10**6  # far too many subsets to be drawn from a list, runs are few
