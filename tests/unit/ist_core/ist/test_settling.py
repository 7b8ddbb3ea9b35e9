"""Settling: which layers stay, for how long, and scores that come from training itself."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from torch import Tensor

from ist_core.errors import IstError, TrainingDiverged
from ist_core.ist import IST, adapter_layers
from ist_core.ist.policies import make_policy
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers import GradientNorms
from ist_core.spec import IstSpec

SPEC = IstSpec(policy="settling", scorer="gradient", update_fraction=0.5, warmup_steps=6, probe_interval=2)


def _selected(scores: list[float], share: float) -> tuple[int, ...]:
    policy = make_policy(
        IstSpec(policy="settling", update_fraction=share), layers=len(scores), count=len(scores)
    )
    found = torch.tensor(scores, dtype=torch.float64)
    chosen = policy.draw(found, LayerSampler(0))
    assert policy.inclusion(found).nonzero().squeeze(1).tolist() == list(chosen)
    return chosen


@pytest.mark.parametrize(("share", "count"), [(0.5, 5), (0.25, 3), (0.3, 3), (1.0, 10), (0.01, 1)])
def test_equal_layers_leave_their_share_of_layers(share: float, count: int) -> None:
    assert _selected([0.0] * 10, share) == tuple(range(10 - count, 10))


def test_importance_near_the_output_leaves_fewer_layers() -> None:
    even, late, early = _selected([0.0] * 8, 0.5), _selected([*[-3.0] * 5, *[3.0] * 3], 0.5), [3.0] * 3
    assert (len(even), len(late)) == (4, 2)
    assert len(_selected([*early, *[-3.0] * 5], 0.5)) > len(even)


def _train(ist: IST, model: PeftModel, gradients: list[float], steps: int) -> list[tuple[int, ...]]:
    """Make steps whose gradients are `gradients`, one number a layer, wherever a layer is trained."""
    active = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    ist.begin(optimizer=optimizer, total_steps=steps)
    for _ in range(steps):
        with ist.step() as record:
            for layer, size in zip(ist.layers, gradients, strict=True):
                for parameter in layer.parameters:
                    parameter.grad = torch.full_like(parameter, size) if parameter.requires_grad else None
            optimizer.step()
            active.append(record.active)
    return active


def test_the_layers_that_stay_stay(tiny_lora: PeftModel) -> None:
    layers = len(adapter_layers(tiny_lora))
    ist = IST(tiny_lora, SPEC)
    active = _train(ist, tiny_lora, [1.0, 1.0, 1.0, 9.0], 12)
    assert active[:6] == [tuple(range(layers))] * 6
    assert set(active[6:]) == {(2, 3)}
    assert ist.settled == ist.update_count == 2
    assert ist.record is not None
    assert ist.record.probabilities == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("largest", range(4))
def test_a_large_gradient_is_a_high_score(largest: int, tiny_lora: PeftModel) -> None:
    ist = IST(tiny_lora, SPEC)
    _train(ist, tiny_lora, [3.0 if index == largest else 1.0 for index in range(4)], 5)
    assert max(range(4), key=lambda index: ist.importance[index]) == largest


def test_scores_move_at_the_interval_alone(tiny_lora: PeftModel) -> None:
    ist = IST(tiny_lora, SPEC)
    seen = []
    optimizer = torch.optim.SGD(tiny_lora.parameters(), lr=0.0)
    ist.begin(optimizer=optimizer, total_steps=6)
    for _ in range(6):
        with ist.step() as record:
            seen.append(record.scores)
            for index, layer in enumerate(ist.layers):
                for parameter in layer.parameters:
                    parameter.grad = torch.full_like(parameter, 1.0 + index)
            optimizer.step()
    changed = [after != before for before, after in itertools.pairwise(seen)]
    assert changed == [False, True, False, True, False]


def test_the_level_of_the_gradients_does_not_matter(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    moved = []
    for level in (1e-6, 1.0, 1e6):
        norms = GradientNorms(layers, rate=10.0)
        for index, layer in enumerate(layers):
            for parameter in layer.parameters:
                parameter.grad = torch.full_like(parameter, level * (1 + index))
        norms.see(range(4))
        moved.append(norms.moved(torch.zeros(4, dtype=torch.float64)))
    for other in moved[1:]:
        torch.testing.assert_close(other, moved[0], rtol=1e-4, atol=0)


def test_only_layers_that_were_updated_move(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    norms = GradientNorms(layers, rate=10.0)
    for index, layer in enumerate(layers):
        for parameter in layer.parameters:
            parameter.grad = torch.full_like(parameter, 1.0 + index)
    norms.see((1, 3))
    moved: Tensor = norms.moved(torch.zeros(4, dtype=torch.float64))
    assert moved[0] == moved[2] == 0.0
    assert moved[3] > 0.0 > moved[1]


def test_a_gradient_that_is_no_number_ends_the_run(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    norms = GradientNorms(layers, rate=10.0)
    for layer in layers:
        for parameter in layer.parameters:
            parameter.grad = torch.full_like(parameter, float("nan"))
    norms.see(range(4))
    with pytest.raises(TrainingDiverged, match="not finite"):
        norms.moved(torch.zeros(4, dtype=torch.float64))


def test_the_state_continues_between_two_moves(tiny_lora: PeftModel) -> None:
    gradients = [1.0, 4.0, 2.0, 3.0]
    whole = IST(tiny_lora, SPEC)
    _train(whole, tiny_lora, gradients, 5)
    first = IST(tiny_lora, SPEC)
    _train(first, tiny_lora, gradients, 3)
    state = json.loads(json.dumps(first.state_dict()))
    second = IST(tiny_lora, SPEC)
    second.load_state_dict(state)
    _train(second, tiny_lora, gradients, 2)
    assert second.state_dict() == whole.state_dict()


def test_without_an_optimizer_there_is_nothing_to_look_at(tiny_lora: PeftModel) -> None:
    with pytest.raises(IstError, match="give IST the optimizer") as refusal:
        IST(tiny_lora, SPEC, total_steps=10).begin()
    assert refusal.value.param == "optimizer"


def test_what_settles_is_not_held_for_a_while() -> None:
    with pytest.raises(ValidationError, match="selects once; leave hold out"):
        IstSpec(policy="settling", hold=5)
