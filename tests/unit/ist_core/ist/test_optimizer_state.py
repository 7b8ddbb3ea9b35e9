"""What becomes of AdamW's moments of layers that are not selected."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from peft import PeftModel

from ist_core.ist import AdapterLayer, adapter_layers, layer_groups
from ist_core.ist.optimizer_state import OptimizerState


def _stepped(layers: tuple[AdapterLayer, ...]) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW(layer_groups(layers), lr=0.1)
    for layer in layers:
        for parameter in layer.parameters:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def test_there_is_one_group_a_layer(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    groups = torch.optim.AdamW(layer_groups(layers)).param_groups
    assert [group["layer"] for group in groups] == [0, 1, 2, 3]
    assert [len(group["params"]) for group in groups] == [14] * 4


@pytest.mark.parametrize(
    ("policy", "left"), [("keep", {0, 1, 2, 3}), ("reset", {1, 3}), ("offload", {0, 1, 2, 3})]
)
def test_only_reset_forgets(
    tiny_lora: PeftModel, policy: Literal["keep", "reset", "offload"], left: set[int]
) -> None:
    layers = adapter_layers(tiny_lora)
    optimizer = _stepped(layers)
    OptimizerState(optimizer, layers, policy).select((1, 3), settled=False)
    held = {index for index, layer in enumerate(layers) if layer.parameters[0] in optimizer.state}
    assert held == left


@pytest.mark.parametrize("policy", ["keep", "reset", "offload"])
def test_what_is_never_selected_again_is_forgotten(
    tiny_lora: PeftModel, policy: Literal["keep", "reset", "offload"]
) -> None:
    layers = adapter_layers(tiny_lora)
    optimizer = _stepped(layers)
    OptimizerState(optimizer, layers, policy).select((2, 3), settled=True)
    assert set(optimizer.state) == {parameter for layer in layers[2:] for parameter in layer.parameters}


def test_offload_moves_only_what_is_not_selected(tiny_lora: PeftModel) -> None:
    """The meta device stands for another one; it holds no values, so only places are looked at."""
    layers = adapter_layers(tiny_lora)
    optimizer = _stepped(layers)
    OptimizerState(optimizer, layers, "offload", store=torch.device("meta")).select((1,), settled=False)
    first, second = (optimizer.state[layers[index].parameters[0]] for index in (0, 1))
    assert first["exp_avg"].device.type == "meta"
    assert first["step"].device.type == "cpu"  # AdamW wants its count where it was
    assert second["exp_avg"].device.type == "cpu"
    assert second["exp_avg"].abs().sum() > 0
