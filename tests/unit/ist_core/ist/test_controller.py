"""The controller: selection, probes, paper fidelity, state."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from peft import PeftModel

from ist_core.errors import IstError
from ist_core.ist import IST, adapter_layers
from ist_core.ist.scores import rewards
from ist_core.spec import IstSpec

PAPER = IstSpec(mode="paper")


def _ist(model: PeftModel, spec: IstSpec, *, total_steps: int = 100, seed: int = 0) -> IST:
    return IST(adapter_layers(model), spec, total_steps=total_steps, seed=seed)


def test_only_the_selected_layers_can_learn(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    ist = IST(layers, PAPER, total_steps=100, seed=0)
    seen = set()
    for step in range(40):
        active = ist.select(step)
        assert len(active) == 1
        seen |= set(active)
        for index, layer in enumerate(layers):
            assert {p.requires_grad for p in layer.parameters} == {index in active}
    assert seen == {0, 1, 2, 3}


def test_the_standard_mode_warms_up_on_all_layers(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, IstSpec(), total_steps=30)
    assert [len(ist.select(step)) for step in range(6)] == [4, 4, 4, 1, 1, 1]


def test_paper_scores_follow_an_independent_reference(tiny_lora: PeftModel) -> None:
    """The same draws and losses through the paper's equations in plain Python, for ten probes."""
    ist, losses = _ist(tiny_lora, PAPER), itertools.cycle([0.5, 3.0, 1.1, 2.2, 0.9, 1.6, 0.7])
    reference = [0.0] * 4
    for _ in range(10):
        probe = ist.probe(lambda: next(losses))
        assert len(probe.candidates) == 3
        likelihood = [math.exp(-loss) for loss in probe.losses]
        sigma = [1 / (1 + math.exp(-score)) for score in reference]
        for subset, value in zip(probe.candidates, likelihood, strict=True):
            assert len(subset) == 2
            for layer in subset:
                reward = value - sum(likelihood) / 3
                reference[layer] -= 10.0 * reward * sigma[layer] * (1 - sigma[layer])
    assert max(map(abs, reference)) > 0.1
    assert ist.importance == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize("mode", ["paper", "standard"])
def test_a_layer_that_matters_gets_a_high_score(tiny_lora: PeftModel, mode: str) -> None:
    """The loss rises only where layer 2 is suppressed: the sign of the score is the true one."""
    layers = adapter_layers(tiny_lora)
    ist = IST(layers, IstSpec.model_validate({"mode": mode}), total_steps=100, seed=0)
    module = layers[2].modules[0]
    whole = dict(module.scaling)  # type: ignore[attr-defined]  # LoRA modules have it
    for _ in range(20):
        ist.probe(lambda: 1.0 if module.scaling == whole else 2.0)  # type: ignore[attr-defined]  # the same
    assert max(range(4), key=lambda layer: ist.importance[layer]) == 2
    assert ist.importance[2] > 0.5


def test_equal_losses_move_nothing_and_the_standard_reward_ignores_the_level() -> None:
    assert rewards([2.0, 2.0, 2.0], "standard").tolist() == [0.0, 0.0, 0.0]
    low, high = rewards([0.1, 0.11, 0.12], "standard"), rewards([10.0, 11.0, 12.0], "standard")
    torch.testing.assert_close(low, high)
    assert low[0] > 0 > low[2]
    assert rewards([8.0, 9.0], "paper").abs().max() < 1e-3


def test_more_candidates_than_subsets_is_fine(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, IstSpec(candidates=64, suppress_fraction=0.01))
    assert len(ist.probe(lambda: 1.0).candidates) == 4


def test_all_layers_are_never_suppressed_and_one_layer_is_refused(tiny_lora: PeftModel) -> None:
    assert _ist(tiny_lora, IstSpec(suppress_fraction=1.0)).suppress_count == 3
    with pytest.raises(IstError, match="this model has 1; set ist to null"):
        IST(adapter_layers(tiny_lora)[:1], IstSpec(), total_steps=10, seed=0)


def test_the_state_continues_scores_and_draws(tiny_lora: PeftModel) -> None:
    ist, copy = _ist(tiny_lora, PAPER), _ist(tiny_lora, PAPER, seed=9)
    losses = iter([1.0, 2.0, 3.0] * 3)
    ist.probe(lambda: next(losses))
    ist.select(0)
    copy.load_state_dict(ist.state_dict())
    assert copy.importance == ist.importance
    assert copy.active == ist.active
    ahead = [ist.select(step) for step in range(8)], ist.probe(lambda: 1.0)
    assert ahead == ([copy.select(step) for step in range(8)], copy.probe(lambda: 1.0))
