"""Learning rates and optimizer state."""

import math

import pytest
import torch

from ist_core.optimization import drop_frozen_state, learning_rate, make_optimizer
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


def test_frozen_state_is_forgotten() -> None:
    kept, frozen = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = make_optimizer([kept, frozen], SPEC)
    (kept.sum() + frozen.sum()).backward()  # type: ignore[no-untyped-call]  # torch has no types here
    optimizer.step()
    frozen.requires_grad_(False)
    drop_frozen_state(optimizer)
    assert list(optimizer.state) == [kept]
