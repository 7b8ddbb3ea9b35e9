"""The engine: selection, probes, paper fidelity, state, refusals."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from ist_core.errors import AdapterError, IstError, TrainingDiverged
from ist_core.ist import IST, BatchProbe, adapter_layers
from ist_core.ist.scores import rewards
from ist_core.spec import IstSpec
from tests.tiny_lora import tiny_lora_model

PAPER = IstSpec(mode="paper", probe_interval=1)


def drawn(**fields: object) -> IstSpec:
    """Return a spec that draws a quarter of the layers by probed importance; `fields` may say otherwise."""
    usual = {"policy": "importance", "scorer": "suppression", "update_fraction": 0.25}
    return IstSpec.model_validate(usual | fields)


class FakeProbe:
    """A probe whose losses are given."""

    def __init__(self, loss: Callable[[], float]) -> None:
        self.loss = loss
        self.numbers: list[int] = []

    def parts(self, number: int) -> Iterator[Tensor]:
        """Yield the loss in two parts."""
        self.numbers.append(number)
        value = torch.tensor(self.loss(), dtype=torch.float64)
        yield value / 4
        yield value * 3 / 4


def _ist(
    model: PeftModel,
    spec: IstSpec,
    loss: Callable[[], float] = lambda: 1.0,
    *,
    total_steps: int = 100,
    seed: int = 0,
) -> IST:
    return IST(model, spec, probe=FakeProbe(loss), total_steps=total_steps, seed=seed)


def _steps(ist: IST, count: int) -> list[tuple[int, ...]]:
    active = []
    for _ in range(count):
        with ist.step() as record:
            active.append(record.active)
    return active


def test_only_the_selected_layers_can_learn(tiny_lora: PeftModel) -> None:
    layers, ist = adapter_layers(tiny_lora), _ist(tiny_lora, drawn(mode="paper"))
    seen = set()
    for _ in range(40):
        with ist.step() as record:
            assert len(record.active) == 1
            seen |= set(record.active)
            for index, layer in enumerate(layers):
                assert {p.requires_grad for p in layer.parameters} == {index in record.active}
    assert seen == {0, 1, 2, 3}
    ist.release()
    assert all(p.requires_grad for layer in layers for p in layer.parameters)


def test_the_standard_mode_warms_up_on_all_layers(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, drawn(), total_steps=30)
    assert [len(active) for active in _steps(ist, 6)] == [4, 4, 4, 1, 1, 1]


@pytest.mark.parametrize("policy", ["random", "static", "lisa"])
def test_policies_without_scores_neither_warm_up_nor_probe(tiny_lora: PeftModel, policy: str) -> None:
    ist = IST(tiny_lora, drawn(policy=policy, probe_interval=1))
    assert {len(active) for active in _steps(ist, 5)} == {1}
    assert ist.record is not None
    assert ist.record.probe is None
    assert ist.importance == (0.0,) * 4


def test_a_selection_is_held(tiny_lora: PeftModel) -> None:
    held = _steps(IST(tiny_lora, drawn(policy="random", hold=3), seed=1), 12)
    assert [len(set(held[at : at + 3])) for at in range(0, 12, 3)] == [1, 1, 1, 1]
    assert len(set(held)) > 1
    assert len(set(_steps(IST(tiny_lora, drawn(policy="lisa")), 20))) == 1


def test_paper_scores_follow_an_independent_reference(tiny_lora: PeftModel) -> None:
    """The same draws and losses through the paper's equations in plain Python, for ten probes."""
    losses = itertools.cycle([0.5, 3.0, 1.1, 2.2, 0.9, 1.6, 0.7])
    ist = _ist(tiny_lora, PAPER, lambda: next(losses))
    reference = [0.0] * 4
    for step in range(11):
        with ist.step() as record:
            assert (record.probe is None) == (step == 0)
        if record.probe is None:
            continue
        assert len(record.probe.candidates) == 3
        likelihood = [math.exp(-loss) for loss in record.probe.losses]
        sigma = [1 / (1 + math.exp(-score)) for score in reference]
        for subset, value in zip(record.probe.candidates, likelihood, strict=True):
            assert len(subset) == 2
            for layer in subset:
                reward = value - sum(likelihood) / 3
                reference[layer] -= 10.0 * reward * sigma[layer] * (1 - sigma[layer])
        assert record.scores == pytest.approx(reference, abs=1e-12)
    assert max(map(abs, reference)) > 0.1


@pytest.mark.parametrize("mode", ["paper", "standard"])
def test_a_layer_that_matters_gets_a_high_score(tiny_lora: PeftModel, mode: str) -> None:
    """The loss rises only where layer 2 is suppressed: the sign of the score is the true one."""
    module = adapter_layers(tiny_lora)[2].modules[0]
    whole = dict(module.scaling)  # type: ignore[attr-defined]  # LoRA modules have it
    spec = drawn(mode=mode, probe_interval=1)
    ist = _ist(tiny_lora, spec, lambda: 1.0 if module.scaling == whole else 2.0)  # type: ignore[attr-defined]  # the same
    _steps(ist, 21)
    assert max(range(4), key=lambda layer: ist.importance[layer]) == 2
    assert ist.importance[2] > 0.5


def test_equal_losses_move_nothing_and_the_standard_reward_ignores_the_level() -> None:
    assert rewards([2.0, 2.0, 2.0], "standard").tolist() == [0.0, 0.0, 0.0]
    low, high = rewards([0.1, 0.11, 0.12], "standard"), rewards([10.0, 11.0, 12.0], "standard")
    torch.testing.assert_close(low, high)
    assert low[0] > 0 > low[2]
    assert rewards([8.0, 9.0], "paper").abs().max() < 1e-3


def test_losses_at_or_below_zero_are_ranked_as_well() -> None:
    for losses in ([0.0, 1.0, 2.0], [-3.0, -2.0, -1.0], [-1.0, 0.0, 1.0]):
        reward = rewards(losses, "standard")
        assert reward[0] > reward[1] > reward[2]
        assert torch.isfinite(reward).all()


def test_more_candidates_than_subsets_is_fine(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, drawn(candidates=64, suppress_fraction=0.01, probe_interval=1))
    _steps(ist, 2)
    assert ist.record is not None
    assert ist.record.probe is not None
    assert sorted(ist.record.probe.candidates) == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("layers", [2, 3])
def test_few_layers_are_enough(layers: int) -> None:
    """N_u and the suppressed set never come out empty, nor whole."""
    model = tiny_lora_model(layers=layers)
    ist = _ist(model, drawn(probe_interval=1, suppress_fraction=1.0, update_fraction=0.01, warmup_steps=0))
    assert {len(active) for active in _steps(ist, 6)} == {1}
    assert ist.record is not None
    assert ist.record.probe is not None
    assert {len(subset) for subset in ist.record.probe.candidates} == {layers - 1}


def test_the_state_continues_scores_draws_and_probes(tiny_lora: PeftModel) -> None:
    spec = drawn(probe_interval=2, warmup_steps=2, hold=3)
    losses = itertools.cycle([1.0, 2.0, 3.0, 1.5])
    ist = _ist(tiny_lora, spec, lambda: next(losses))
    copy = _ist(tiny_lora, spec, lambda: next(losses), seed=9)
    _steps(ist, 7)
    copy.load_state_dict(json.loads(json.dumps(ist.state_dict())))
    assert (copy.importance, copy.active) == (ist.importance, ist.active)
    ahead = []
    for one in (ist, copy):
        losses = itertools.cycle([1.0, 2.0, 3.0, 1.5])
        ahead.append((_steps(one, 9), one.importance, one.state_dict()))
    assert ahead[0] == ahead[1]


def test_a_second_ist_on_a_model_sees_all_its_layers(tiny_lora: PeftModel) -> None:
    """As when a notebook's cell is run again."""
    first = IST(tiny_lora, drawn(policy="static"))
    _steps(first, 1)
    second = IST(tiny_lora, drawn(policy="static", update_fraction=0.5))
    assert len(second.layers) == 4
    assert _steps(second, 1) == [(2, 3)]
    tiny_lora(torch.tensor([[1, 2]]))  # the first one's hooks are gone
    assert [layer.parameters[0].requires_grad for layer in second.layers] == [False, False, True, True]


def test_a_state_of_another_model_is_refused(tiny_lora: PeftModel) -> None:
    state = _ist(tiny_lora_model(layers=3), drawn()).state_dict()
    with pytest.raises(IstError, match="version 1 and 3 layers, and this run version 1 and 4 layers"):
        _ist(tiny_lora, drawn()).load_state_dict(state)


def test_a_step_that_fails_does_not_count(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, drawn())
    with pytest.raises(KeyboardInterrupt), ist.step():
        raise KeyboardInterrupt
    assert ist.state_dict()["step"] == 0


def test_the_record_says_what_a_step_did(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, drawn(probe_interval=2, warmup_steps=1))
    with ist.step() as first:
        pass
    assert (first.step, first.warming_up, first.backward_depth) == (0, True, 4)
    assert first.probabilities == pytest.approx((0.25,) * 4)
    assert first.entropy == pytest.approx(1.0)
    _steps(ist, 1)
    with ist.step() as third:
        pass
    assert third.probe is not None
    assert not third.warming_up
    assert third.backward_depth == 4 - third.active[0]
    assert third.seconds >= third.probe_seconds > 0
    assert third.bytes >= 4 * 8
    assert third.layers == (0, 1, 2, 3)


def test_probes_of_every_number_ask_for_the_same_rows_in_each_candidate(tiny_lora: PeftModel) -> None:
    probe = FakeProbe(lambda: 1.0)
    ist = IST(tiny_lora, drawn(probe_interval=3, warmup_steps=0), probe=probe)
    _steps(ist, 10)
    assert probe.numbers == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_model_keeps_its_modes(tiny_lora: PeftModel) -> None:
    """A probe runs without dropout, and gives every module its own mode back."""
    tiny_lora.train()
    frozen = tiny_lora.get_submodule("base_model.model.model.norm").eval()
    seen = []
    ist = _ist(tiny_lora, drawn(probe_interval=1), lambda: seen.append(tiny_lora.training) or 1.0)  # type: ignore[func-returns-value]  # a lambda of two acts
    _steps(ist, 2)
    assert seen == [False] * 3
    assert tiny_lora.training
    assert not frozen.training
    assert adapter_layers(tiny_lora)[0].modules[0].training  # type: ignore[attr-defined]  # peft's layers are modules


def test_mistakes_are_named_before_any_training(tiny_lora: PeftModel) -> None:
    def loss(model: nn.Module, batch: int) -> Tensor:
        raise AssertionError("nothing may be computed")

    with pytest.raises(IstError, match="has 1 with adapters; set ist to null"):
        IST(tiny_lora_model(layers=1))
    with pytest.raises(AdapterError, match="call peft's get_peft_model on it first"):
        IST(tiny_lora_model().unload())
    with pytest.raises(IstError, match="the probe set is empty") as caught:
        IST(tiny_lora, probe=[], loss=loss)
    assert caught.value.param == "probe"
    with pytest.raises(IstError, match="so give their loss too"):
        IST(tiny_lora, probe=[1, 2])
    with pytest.raises(IstError, match="needs held-out examples to probe importance on"):
        IST(tiny_lora, drawn(), total_steps=10).begin()
    with pytest.raises(IstError, match="give total_steps, or a number of warmup_steps"):
        IST(tiny_lora, drawn(), probe=[1], loss=loss).begin()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"policy": "best"}, "policy"),
        ({"scorer": "magic"}, "scorer"),
        ({"update_fraction": 0.0}, "update_fraction"),
        ({"update_fraction": 1.5}, "update_fraction"),
        ({"suppression": 1.0}, "suppression"),
        ({"mode": "paper", "policy": "depth"}, "mode 'paper' has the policy 'importance'"),
        ({"update_fractoin": 0.5}, "update_fractoin"),
    ],
)
def test_the_spec_names_the_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        IstSpec.model_validate(fields)


def test_a_probe_loss_that_is_no_number_ends_the_run(tiny_lora: PeftModel) -> None:
    ist = _ist(tiny_lora, drawn(probe_interval=1), lambda: math.nan)
    _steps(ist, 1)
    with pytest.raises(TrainingDiverged, match="lower learning_rate"), ist.step():
        pass


def test_a_batch_probe_goes_around() -> None:
    model = nn.Linear(1, 1)
    probe = BatchProbe(model, [1.0, 2.0, 4.0], lambda _, batch: torch.tensor(batch), count=2)
    assert [[part.item() for part in probe.parts(number)] for number in range(3)] == [
        [0.5, 1.0],
        [2.0, 0.5],
        [1.0, 2.0],
    ]
