"""Suppression scales the adapter response and nothing else, and leaves no trace."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from torch import nn

from ist_core.errors import AdapterError
from ist_core.ist import adapter_layers
from ist_core.ist.suppression import suppressed

BETA = 0.25


def _scalings(model: nn.Module) -> dict[str, object]:
    """Every attribute called `scaling`, also those that are not peft's, such as Llama attention's."""
    found = {}
    for name, module in model.named_modules():
        if "scaling" in vars(module):
            value = vars(module)["scaling"]
            found[name] = dict(value) if isinstance(value, dict) else value
    return found


def test_the_response_is_scaled_exactly(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    module = layers[1].modules[0]
    assert isinstance(module, Linear)
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        base, adapted = module.base_layer(x), module(x)
        with suppressed([layers[1]], BETA):
            inside = module(x)
        after = module(x)
    torch.testing.assert_close(inside, base + BETA * (adapted - base))
    assert not torch.equal(inside, adapted)
    assert torch.equal(after, adapted)


def test_only_the_named_layers_adapters_change(tiny_lora: PeftModel) -> None:
    before = _scalings(tiny_lora)
    attention = [value for value in before.values() if isinstance(value, float)]
    assert len(attention) == 4  # Llama attention has a `scaling` too: the trap is there
    with suppressed([adapter_layers(tiny_lora)[2]], BETA):
        inside = _scalings(tiny_lora)
    changed = {name for name in before if before[name] != inside[name]}
    assert len(changed) == 7
    assert all(".layers.2." in name for name in changed)
    assert _scalings(tiny_lora) == before


def test_everything_is_restored_after_an_exception(tiny_lora: PeftModel) -> None:
    before = _scalings(tiny_lora)
    with pytest.raises(KeyboardInterrupt), suppressed(adapter_layers(tiny_lora), 0.1):
        raise KeyboardInterrupt
    assert _scalings(tiny_lora) == before


def test_only_the_trained_adapter_is_suppressed() -> None:
    inner = nn.ModuleDict({"layers": nn.ModuleList(nn.ModuleDict({"a": nn.Linear(4, 4)}) for _ in range(2))})
    model = get_peft_model(inner, LoraConfig(r=2, lora_alpha=6, target_modules=["a"]))
    model.add_adapter("other", LoraConfig(r=1, lora_alpha=7, target_modules=["a"]))
    layers = adapter_layers(model)
    modules = [module for layer in layers for module in layer.modules if isinstance(module, Linear)]
    assert len(modules) == 2
    with suppressed(layers, 0.5):
        assert all(module.scaling == {"default": 1.5, "other": 7.0} for module in modules)
    assert all(module.scaling == {"default": 3.0, "other": 7.0} for module in modules)


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0])
def test_dora_is_suppressed_by_its_response(beta: float) -> None:
    """Its magnitude is not linear in `scaling`, so the module is asked without its adapter too."""
    inner = nn.ModuleDict({"layers": nn.ModuleList(nn.ModuleDict({"a": nn.Linear(4, 4)}) for _ in range(2))})
    model = get_peft_model(
        inner, LoraConfig(r=2, target_modules=["a"], use_dora=True, init_lora_weights=False)
    )
    layer = adapter_layers(model)[0]
    (module,) = layer.modules
    assert isinstance(module, Linear)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        base, adapted = module.base_layer(x), module(x)
        with suppressed([layer], beta):
            inside = module(x)
        assert torch.equal(inside, base + beta * (adapted - base))
        assert torch.equal(module(x), adapted)
    assert not torch.allclose(base, adapted)


def test_another_adapter_is_not_touched_while_it_is_active() -> None:
    """DPO asks a frozen reference adapter in between."""
    inner = nn.ModuleDict({"layers": nn.ModuleList(nn.ModuleDict({"a": nn.Linear(4, 4)}) for _ in range(2))})
    config = LoraConfig(r=2, target_modules=["a"], use_dora=True, init_lora_weights=False)
    model = get_peft_model(inner, config)
    model.add_adapter("ref", config)
    layer = adapter_layers(model)[0]
    (module,) = layer.modules
    assert isinstance(module, Linear)
    x = torch.ones(1, 4)
    with torch.no_grad():
        module.set_adapter("ref")
        reference = module(x)
        with suppressed([layer], 0.25):
            assert torch.equal(module(x), reference)
            module.set_adapter("default")
            inside = module(x)
        assert not torch.allclose(inside, module(x))


def test_merged_adapters_are_refused(tiny_lora: PeftModel) -> None:
    layers = adapter_layers(tiny_lora)
    tiny_lora.merge_adapter()
    with pytest.raises(AdapterError, match="merged into the base weights"), suppressed(layers, 0.5):
        pass
