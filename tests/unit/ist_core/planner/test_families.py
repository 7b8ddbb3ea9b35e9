"""Shapes against transformers and peft: every parameter counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ist_core.catalog import ModelSource
from ist_core.errors import AdapterError, ModelError
from ist_core.ist import adapter_layers
from ist_core.models import BaseModel
from ist_core.optimization import make_optimizer
from ist_core.planner.adapters import layer_adapters
from ist_core.planner.config import Config, read_config
from ist_core.planner.families import shape_of
from ist_core.spec import BottleneckSpec, JobSpec, LoraSpec
from tests.unit.ist_core.planner.models import FAMILIES, LAYERS, adapted, make_model

ADAPTERS: list[LoraSpec | BottleneckSpec] = [
    LoraSpec(rank=4),
    LoraSpec(rank=3, dora=True),
    BottleneckSpec(type="bottleneck", size=8),
    BottleneckSpec(type="bottleneck", size=8, variant="series"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_exact(family: str) -> None:
    model, shape = make_model(family)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("spec", ADAPTERS, ids=["lora", "dora", "parallel", "series"])
@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_are_exact(family: str, spec: LoraSpec | BottleneckSpec) -> None:
    model, shape = make_model(family)
    layers = adapter_layers(adapted(model, spec))
    counted = layer_adapters(shape, spec)
    assert [sum(p.numel() for p in layer.parameters) for layer in layers] == [counted.parameters] * LAYERS
    assert [len(layer.parameters) for layer in layers] == [counted.tensors] * LAYERS


def test_target_modules_are_counted_alone() -> None:
    model, shape = make_model("llama")
    spec = LoraSpec(rank=4, target_modules=("q_proj", "down_proj"))
    layers = adapter_layers(adapted(model, spec))
    assert sum(p.numel() for p in layers[0].parameters) == layer_adapters(shape, spec).parameters


def test_a_target_that_is_nowhere_is_refused_as_by_the_engine() -> None:
    model, shape = make_model("llama")
    spec = LoraSpec(target_modules=("q_proj", "w1"))
    with pytest.raises(AdapterError) as planned:
        layer_adapters(shape, spec)
    with pytest.raises(AdapterError) as engines:
        adapted(model, spec)
    assert (planned.value.message, planned.value.param) == (engines.value.message, engines.value.param)


@pytest.mark.parametrize("spec", ADAPTERS, ids=["lora", "dora", "parallel", "series"])
def test_optimizer_bytes_are_exact(spec: LoraSpec | BottleneckSpec) -> None:
    model, shape = make_model("llama")
    layers = adapter_layers(adapted(model, spec))
    job = JobSpec(model="tiny", training_file="none", adapter=spec)
    optimizer = make_optimizer(layers, job)
    for layer in layers[1:]:
        for parameter in layer.parameters:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    held = sum(
        value.numel() * value.element_size() for state in optimizer.state.values() for value in state.values()
    )
    assert held == 2 * layer_adapters(shape, spec).moment_bytes


def test_a_folder_is_read_without_its_weights(tiny_folder: Path, tiny_base: BaseModel) -> None:
    shape = shape_of(read_config(ModelSource("folder", "tiny", str(tiny_folder))))
    assert shape.parameters == sum(parameter.numel() for parameter in tiny_base.model.parameters())
    assert (shape.layers, shape.hidden, shape.context, shape.stored_bytes) == (4, 32, 512, 4)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "family 'None'"),
        ({"model_type": "bloom"}, "family 'bloom'; planned are: gemma, gpt2"),
        ({"model_type": "llama"}, "None as hidden_size"),
        ({"model_type": "llama", "hidden_size": "64"}, "'64' as hidden_size"),
        ({"model_type": "gpt2", "n_embd": -1}, "-1 as n_embd"),
        ({"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_positions": 8, "n_layer": 1, "vocab_size": 9,
          "activation_function": "mish"}, "non-linearity 'mish'"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_by_name(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        shape_of(Config(keys))


def test_a_mixture_with_dense_layers_is_refused() -> None:
    model, _ = make_model("qwen3_moe")
    with pytest.raises(ModelError, match="no mixture"):
        shape_of(Config(model.config.to_dict() | {"mlp_only_layers": [0]}))


def test_a_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="no JSON object"):
        read_config(ModelSource("folder", "broken", str(tmp_path)))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        read_config(ModelSource("folder", "broken", str(tmp_path)))
