"""What a bottleneck adapter computes, how it starts, and which configs are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ist_core.bottleneck import BottleneckLinear
from tests.tiny_model import make_tiny_model
from tests.train.bottleneck_models import (
    IDS,
    QUIET,
    VARIANTS,
    adapt,
    load_base,
    logits,
    make_config,
)

pytestmark = QUIET


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "llama")


@VARIANTS
@pytest.mark.parametrize("non_linearity", ["relu", "gelu", "silu", "tanh"])
def test_computes_the_formula(variant: str, non_linearity: str) -> None:
    base = nn.Linear(6, 4)
    config = make_config(variant=variant, non_linearity=non_linearity, scaling=2.5, init_weights=False)
    layer = BottleneckLinear(base, "default", config, "proj")
    x = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    h = x @ base.weight.T + base.bias
    source = x if variant == "parallel" else h
    inner = source @ weights["bottleneck_down.default.weight"].T + weights["bottleneck_down.default.bias"]
    by_hand: dict[str, Tensor] = {
        "relu": inner.clamp(min=0),
        "gelu": inner * 0.5 * (1 + torch.erf(inner / 2**0.5)),
        "silu": inner / (1 + torch.exp(-inner)),
        "tanh": 2 / (1 + torch.exp(-2 * inner)) - 1,
    }
    outer = (
        by_hand[non_linearity] @ weights["bottleneck_up.default.weight"].T
        + weights["bottleneck_up.default.bias"]
    )
    assert (outer.abs() > 1e-3).any()
    torch.testing.assert_close(layer(x), h + 2.5 * outer)


def test_series_adapters_apply_in_the_order_they_are_active() -> None:
    layer = BottleneckLinear(nn.Linear(6, 4), "a", make_config(variant="series", init_weights=False), "a")
    layer.update_layer("b", make_config(variant="series", init_weights=False), "b")
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))

    def response(name: str, h: Tensor) -> Tensor:
        output: Tensor = layer.bottleneck_up[name](layer.bottleneck_down[name](h).relu())
        return output

    base = layer.base_layer(x)
    for first, second in (("a", "b"), ("b", "a")):
        layer.set_adapter([first, second])
        after_first = base + response(first, base)
        torch.testing.assert_close(layer(x), after_first + response(second, after_first))


@VARIANTS
def test_gradient_reaches_every_adapter(folder: Path, variant: str) -> None:
    # init_weights=False: with up at zero, nothing flows into down in the first step, by design.
    model = adapt(folder, variant=variant, init_weights=False, non_linearity="tanh")
    model(IDS, labels=IDS).loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name


def test_seeded_start_ignores_the_global_generator(folder: Path) -> None:
    def weights(seed: int | None) -> dict[str, Tensor]:
        return {n: p for n, p in adapt(folder, init_seed=seed).named_parameters() if "bottleneck_down" in n}

    base = load_base(folder)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    get_peft_model(base, make_config(init_seed=7))
    assert torch.equal(torch.get_rng_state(), state)
    first = weights(7)
    torch.manual_seed(2)
    second = weights(7)
    assert all(torch.equal(first[name], second[name]) for name in first)
    matrices = [p for name, p in first.items() if name.endswith("q_proj.bottleneck_down.default.weight")]
    assert len({matrix.sum().item() for matrix in matrices}) == 4  # one draw for each module
    other = weights(8)
    assert not any(torch.equal(first[name], other[name]) for name in first if name.endswith("weight"))
    unseeded, again = weights(None), weights(None)
    assert not any(torch.equal(unseeded[name], again[name]) for name in first if name.endswith("weight"))


def test_dropout_works_in_training_only(folder: Path) -> None:
    model = adapt(folder, dropout=0.5, init_weights=False)
    assert torch.equal(logits(model), logits(model))
    model.train()
    assert not torch.equal(logits(model), logits(model))


def test_survives_gradient_checkpointing(folder: Path) -> None:
    def gradients(checkpointing: bool) -> dict[str, Tensor]:
        model = adapt(folder, init_weights=False)
        model.train()
        if checkpointing:
            base = model.get_base_model()
            assert isinstance(base, LlamaForCausalLM)
            base.activation_checkpointing_enable({"use_reentrant": False})
            assert base.is_activation_checkpointing
        model(IDS, labels=IDS, use_cache=False).loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "sideways"}, "variant is 'sideways'; give one of series, parallel"),
        ({"non_linearity": "elu"}, "non_linearity is 'elu'; give one of relu, gelu, silu, tanh"),
        ({"bottleneck_size": 0}, "bottleneck_size is 0"),
        ({"scaling": 0.0}, "scaling is 0.0"),
        ({"scaling": float("nan")}, "scaling is nan"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"target_modules": "all-linear", "layers_to_transform": 1}, "target_modules as a list"),
        ({"layers_pattern": "layers"}, "layers_pattern needs layers_to_transform"),
    ],
)
def test_bad_fields_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(**fields)
