"""Learning rates and optimizer state."""

import math

import pytest
import torch
from torch import nn

from ist_core.ist import AdapterLayer
from ist_core.optimization import learning_rate, load_moments, make_optimizer, moments
from ist_core.spec import JobSpec

SPEC = JobSpec(model="m", training_file="f", learning_rate=0.5, warmup_ratio=0.2)


def test_it_warms_up_and_falls_linearly() -> None:
    rates = [learning_rate(step, 10, SPEC) for step in range(10)]
    assert rates[:3] == [0.25, 0.5, 0.5]
    assert rates[-1] == pytest.approx(0.5 / 8)


def test_cosine_and_constant() -> None:
    cosine = SPEC.model_copy(update={"schedule": "cosine", "warmup_ratio": 0.0})
    assert learning_rate(5, 10, cosine) == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi / 2)))
    constant = SPEC.model_copy(update={"schedule": "constant", "warmup_ratio": 0.0})
    assert {learning_rate(step, 10, constant) for step in range(10)} == {0.5}


class _Model(nn.Module):
    """Two layers of one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(2))
        self.second = nn.Parameter(torch.ones(3))

    def layers(self) -> tuple[AdapterLayer, ...]:
        return tuple(
            AdapterLayer(index, (), (parameter,), frozenset())
            for index, parameter in ((4, self.first), (7, self.second))
        )


def test_each_layer_has_its_parameter_group() -> None:
    model = _Model()
    groups = make_optimizer(model.layers(), SPEC.model_copy(update={"weight_decay": 0.25})).param_groups
    assert [(group["layer"], group["params"]) for group in groups] == [
        (4, [model.first]),
        (7, [model.second]),
    ]
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.5, 0.25)}


def test_moments_go_on_where_they_were_taken() -> None:
    """One optimizer makes two steps; another one takes over after the first. Only `second` is updated."""

    def update(model: _Model, optimizer: torch.optim.Optimizer) -> None:
        (model.second * torch.tensor([1.0, 2.0, 3.0])).square().sum().backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimizer.step()
        optimizer.zero_grad()

    model = _Model()
    optimizer = make_optimizer(model.layers(), SPEC)
    update(model, optimizer)
    found = moments(optimizer, {value: name for name, value in model.named_parameters()})
    assert sorted(found) == ["exp_avg/second", "exp_avg_sq/second", "step/second"]
    taken = {name: value.clone() for name, value in found.items()}
    other = _Model()
    other.load_state_dict(model.state_dict())
    update(model, optimizer)

    successor = make_optimizer(other.layers(), SPEC)
    other.first.sum().backward()  # type: ignore[no-untyped-call]  # torch has no types here
    successor.step()
    assert list(successor.state) == [other.first]
    load_moments(successor, other, taken)
    assert list(successor.state) == [other.second]
    update(other, successor)
    assert torch.equal(other.second, model.second)
    assert not torch.equal(taken["exp_avg/second"], found["exp_avg/second"])  # the copy was not written into
