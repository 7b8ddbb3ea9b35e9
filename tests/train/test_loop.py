"""IST in a training loop of one's own: gradients, accumulation, number formats, compiled layers, moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from ist_core import IST, IstSpec
from ist_core.ist import IstRecord, decoder_layers, layer_groups
from ist_core.ist.suppression import suppressed
from tests.tiny_lora import tiny_lora_model

SPEC = IstSpec(
    policy="importance", scorer="suppression", update_fraction=0.5, probe_interval=2, warmup_steps=1
)
BATCHES = [
    torch.randint(0, 64, (2, 12), generator=torch.Generator().manual_seed(number)) for number in range(8)
]


def _loss(model: nn.Module, batch: Tensor) -> Tensor:
    loss: Tensor = model(input_ids=batch, labels=batch).loss
    return loss


def _train(
    model: PeftModel, spec: IstSpec, *, steps: int = 7, micro_batches: int = 1, seed: int = 0
) -> tuple[list[IstRecord], list[float]]:
    """Train; the probe is two batches that are never trained on."""
    model.train()
    ist = IST(model, spec, probe=BATCHES[6:], loss=_loss, total_steps=steps, seed=seed)
    optimizer = torch.optim.AdamW(layer_groups(ist.layers), lr=1e-2, weight_decay=0.1)
    ist.begin(optimizer=optimizer)
    records, losses = [], []
    for step in range(steps):
        with ist.step() as record:
            for part in range(micro_batches):
                loss = _loss(model, BATCHES[(step * micro_batches + part) % 6]) / micro_batches
                torch.autograd.backward(loss)
                losses.append(loss.item())
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        records.append(record)
    return records, losses


def _weights(model: PeftModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if "lora_" in name}


def test_three_lines_are_enough_and_the_model_learns() -> None:
    model = tiny_lora_model()
    before = [_loss(model, batch).item() for batch in BATCHES[:6]]
    _train(model, SPEC, steps=60)
    model.eval()
    after = [_loss(model, batch).item() for batch in BATCHES[:6]]
    assert sum(after) < sum(before) - 0.5


def test_the_selected_layers_gradients_are_those_of_a_plain_pass() -> None:
    model = tiny_lora_model(rank=4)
    ist = IST(model, IstSpec(policy="random", update_fraction=0.5), seed=3)
    torch.autograd.backward(_loss(model, BATCHES[0]))
    plain = [[parameter.grad for parameter in layer.parameters] for layer in ist.layers]
    model.zero_grad()
    with ist.step() as record:
        torch.autograd.backward(_loss(model, BATCHES[0]))
        for index, layer in enumerate(ist.layers):
            for parameter, expected in zip(layer.parameters, plain[index], strict=True):
                if index in record.active:
                    torch.testing.assert_close(parameter.grad, expected)
                else:
                    assert parameter.grad is None


def test_a_selection_never_changes_inside_accumulation_and_zero_gradients_move_nothing() -> None:
    """`zero_grad(set_to_none=False)` would leave zeros behind, by which AdamW moves a layer all the same."""
    model = tiny_lora_model(dropout=0.1)
    model.train()
    ist = IST(model, IstSpec(policy="random", update_fraction=0.5))
    optimizer = torch.optim.AdamW(layer_groups(ist.layers), lr=1e-2, weight_decay=0.5)
    for _ in range(6):
        before = _weights(model)
        with ist.step() as record:
            for batch in BATCHES[:3]:
                torch.autograd.backward(_loss(model, batch))
                assert ist.active == record.active
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        changed = {
            int(name.split(".layers.")[1][0])
            for name, value in _weights(model).items()
            if not torch.equal(value, before[name])
        }
        assert changed == set(record.active)


def test_accumulation_equals_one_large_batch() -> None:
    pair = torch.cat(BATCHES[:2])
    gradients = []
    for parts in ([pair], BATCHES[:2]):
        model = tiny_lora_model()
        ist = IST(model, IstSpec(policy="static", update_fraction=0.5))
        with ist.step():
            for part in parts:
                torch.autograd.backward(_loss(model, part) / len(parts))
        gradients.append([p.grad for layer in ist.layers[2:] for p in layer.parameters])
    for one, many in zip(*gradients, strict=True):
        torch.testing.assert_close(one, many)


def test_a_bfloat16_base_trains_its_float32_adapters() -> None:
    model = tiny_lora_model()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
    records, losses = _train(model, SPEC, steps=40)
    assert {parameter.dtype for parameter in _weights(model).values()} == {torch.float32}
    assert sum(losses[-6:]) < sum(losses[:6])
    assert any(score != 0.0 for score in records[-1].scores)
    logits = model(BATCHES[0]).logits
    with suppressed(IST(model, SPEC, probe=BATCHES, loss=_loss).layers, 0.25):
        inside = model(BATCHES[0]).logits
    assert inside.dtype == torch.bfloat16
    assert not torch.equal(inside, logits)
    assert torch.equal(model(BATCHES[0]).logits, logits)


# torch's tracer looks at the gradient of every tensor that it meets.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("scorer", ["suppression", "gate"])
def test_compiled_layers_train_as_others_do(scorer: Literal["suppression", "gate"]) -> None:
    """Selections and probes come and go under layers that are compiled one by one."""
    spec = SPEC.model_copy(update={"scorer": scorer})
    plain, compiled = tiny_lora_model(dora=True), tiny_lora_model(dora=True)
    torch.compiler.reset()  # what other tests compiled counts towards the variants that one function may have
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        forward: Callable[..., Any] = graph.forward
        return forward

    for layer in decoder_layers(compiled)[1]:
        layer.compile(backend=keep)
    expected, losses = _train(plain, spec)
    found, same = _train(compiled, spec)
    assert [record.active for record in found] == [record.active for record in expected]
    assert same == pytest.approx(losses, rel=1e-4)
    assert found[-1].scores == pytest.approx(expected[-1].scores, abs=1e-3)
    assert any(abs(score) > 1e-2 for score in expected[-1].scores)
    assert graphs


def test_offloaded_moments_make_no_difference() -> None:
    weights = {}
    for policy in ("keep", "offload", "reset"):
        model = tiny_lora_model()
        _train(model, SPEC.model_copy(update={"optimizer_state": policy}), steps=12)
        weights[policy] = _weights(model)
    assert all(torch.equal(weights["offload"][name], value) for name, value in weights["keep"].items())
    assert not all(torch.equal(weights["reset"][name], value) for name, value in weights["keep"].items())


def test_one_seed_is_one_run() -> None:
    runs = []
    for seed in (5, 5, 6):
        model = tiny_lora_model()
        records, _ = _train(model, SPEC, steps=12, seed=seed)
        runs.append(([record.active for record in records], _weights(model)))
    assert runs[0][0] == runs[1][0]
    assert runs[0][0] != runs[2][0]
    assert all(torch.equal(runs[1][1][name], value) for name, value in runs[0][1].items())
