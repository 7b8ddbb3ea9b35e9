"""Bottleneck adapters through PEFT's doors: put on, trained, saved, switched, taken off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from ist_core.bottleneck import BottleneckConfig
from tests.tiny_model import make_tiny_model
from tests.train.bottleneck_models import (
    QUIET,
    TARGETS,
    VARIANTS,
    adapt,
    adapted_layers,
    load_base,
    logits,
    make_config,
    take_steps,
)

pytestmark = QUIET


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "llama")


@VARIANTS
def test_starts_equal_to_the_base(folder: Path, variant: str) -> None:
    assert torch.equal(logits(adapt(folder, variant=variant)), logits(load_base(folder)))


@VARIANTS
def test_trains_the_adapters_alone(folder: Path, variant: str) -> None:
    model = adapt(folder, variant=variant)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    adapter = {name for name, _ in model.named_parameters() if ".bottleneck_" in name}
    layers = adapted_layers(model)
    assert trainable == adapter
    assert len(layers) == 4 * len(TARGETS)
    assert len(adapter) == 4 * len(layers)  # two weights and two biases
    before = {name: p.clone() for name, p in model.named_parameters()}
    start = logits(model)
    take_steps(model)
    assert not torch.allclose(logits(model), start)
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed <= adapter
    assert {name for name in adapter if ".bottleneck_up." in name} <= changed
    assert any(".bottleneck_down." in name for name in changed)


@VARIANTS
@pytest.mark.parametrize("low_memory", [False, True])
def test_saves_and_loads(folder: Path, tmp_path: Path, variant: str, low_memory: bool) -> None:
    model = adapt(folder, variant=variant, non_linearity="silu", scaling=3.0, bottleneck_size=5)
    take_steps(model)
    model.save_pretrained(str(tmp_path))
    config = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(config, BottleneckConfig)
    assert (config.variant, config.non_linearity) == (variant, "silu")
    assert (config.scaling, config.bottleneck_size) == (3.0, 5)
    loaded = PeftModel.from_pretrained(load_base(folder), str(tmp_path), low_cpu_mem_usage=low_memory)
    assert torch.equal(logits(loaded.eval()), logits(model))
    assert not any(p.requires_grad for p in loaded.parameters())
    trainable = PeftModel.from_pretrained(load_base(folder), str(tmp_path), is_trainable=True)
    take_steps(trainable, 1)
    assert not torch.equal(logits(trainable), logits(model))


@VARIANTS
def test_disabled_adapters_leave_the_base(folder: Path, variant: str) -> None:
    model = adapt(folder, variant=variant)
    take_steps(model)
    tuned = logits(model)
    base = logits(load_base(folder))
    with model.disable_adapter():
        assert torch.equal(logits(model), base)
    assert torch.equal(logits(model), tuned)
    unloaded = model.unload()
    assert torch.equal(logits(unloaded), base)
    assert not adapted_layers(unloaded)


def test_switches_and_deletes_adapters(folder: Path) -> None:
    model = adapt(folder, variant="parallel")
    model.add_adapter("second", make_config(variant="series", target_modules=["k_proj", "q_proj"]))
    base = logits(load_base(folder))
    take_steps(model)
    first = logits(model)
    assert not torch.equal(first, base)
    model.set_adapter("second")
    assert torch.equal(logits(model), base)
    assert all(".second." in name for name, p in model.named_parameters() if p.requires_grad)
    take_steps(model)
    assert not torch.equal(logits(model), base)
    model.set_adapter("default")
    assert torch.equal(logits(model), first)
    model.delete_adapter("second")
    assert torch.equal(logits(model), first)
    assert not any(".second" in name for name in model.state_dict())


@pytest.mark.parametrize("call", ["merge_and_unload", "merge_adapter"])
def test_merge_is_refused(folder: Path, call: str) -> None:
    model = adapt(folder, init_weights=False)
    before = logits(model)
    with pytest.raises(ValueError, match=r"cannot be merged.*not linear"):
        getattr(model, call)()
    layer = next(iter(adapted_layers(model).values()))
    with pytest.raises(ValueError, match="cannot be merged"):
        layer.merge()
    assert torch.equal(logits(model), before)


def test_refuses_targets_that_do_not_fit(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"no_such_proj.*not found in the base model"):
        adapt(folder, target_modules=["no_such_proj"])
    with pytest.raises(ValueError, match="specify `target_modules`"):
        adapt(folder, target_modules=None)
    with pytest.raises(TypeError, match=r"layers\.0\.input_layernorm is a LlamaRMSNorm.*target_modules"):
        adapt(folder, target_modules=["input_layernorm"])


def test_chooses_modules(folder: Path) -> None:
    everything = adapted_layers(adapt(folder, target_modules="all-linear"))
    assert len(everything) == 4 * 7
    assert not any("lm_head" in name for name in everything)
    some = adapted_layers(
        adapt(folder, layers_to_transform=[1, 3], layers_pattern="layers", target_modules=["q_proj"])
    )
    assert sorted(name.split("layers.")[1] for name in some) == ["1.self_attn.q_proj", "3.self_attn.q_proj"]
    rest = adapted_layers(adapt(folder, exclude_modules=["down_proj"]))
    assert {name.rsplit(".", 1)[1] for name in rest} == set(TARGETS) - {"down_proj"}


def test_saves_fully_trained_modules(folder: Path, tmp_path: Path) -> None:
    model = adapt(folder, modules_to_save=["norm"])
    take_steps(model)
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(load_base(folder), str(tmp_path)).eval()
    base_norm = load_base(folder).model.norm.weight
    loaded_norm = loaded.get_parameter("base_model.model.model.norm.modules_to_save.default.weight")
    assert not torch.equal(loaded_norm, base_norm)
    assert torch.equal(logits(loaded), logits(model))


@VARIANTS
def test_bfloat16_base_has_float32_adapters(folder: Path, tmp_path: Path, variant: str) -> None:
    model = adapt(folder, torch.bfloat16, variant=variant)
    assert torch.equal(logits(model), logits(load_base(folder, torch.bfloat16)))
    dtypes = {p.dtype for p in model.parameters() if p.requires_grad}
    assert dtypes == {torch.float32}
    take_steps(model)
    assert logits(model).dtype == torch.bfloat16
    assert not torch.equal(logits(model), logits(load_base(folder, torch.bfloat16)))
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(load_base(folder, torch.bfloat16), str(tmp_path))
    assert torch.equal(logits(loaded.eval()), logits(model))


@VARIANTS
def test_adapts_conv1d_modules(tmp_path: Path, variant: str) -> None:
    def make_gpt2() -> PreTrainedModel:
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2))
        model.train(False)
        return model

    base = logits(make_gpt2())
    model = get_peft_model(
        make_gpt2(), make_config(variant=variant, target_modules=["c_attn", "c_fc"])
    ).eval()
    attention = adapted_layers(model)["base_model.model.transformer.h.0.attn.c_attn"]
    assert (attention.in_features, attention.out_features) == (16, 48)
    assert torch.equal(logits(model), base)
    take_steps(model)
    assert not torch.equal(logits(model), base)
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(make_gpt2(), str(tmp_path))
    assert torch.equal(logits(loaded.eval()), logits(model))


def test_is_a_tuner_layer_peft_can_inspect(folder: Path) -> None:
    model = adapt(folder)
    status = model.get_model_status()
    assert status.peft_types == {"default": "BOTTLENECK"}
    assert status.num_adapter_layers == 4 * len(TARGETS)
    injected = inject_adapter_in_model(make_config(), load_base(folder))
    for layer in adapted_layers(injected).values():
        assert isinstance(layer, BaseTunerLayer)
        own = {name.split(".")[0] for name, _ in layer.named_parameters()} - {"base_layer"}
        assert own == set(layer.adapter_layer_names)
