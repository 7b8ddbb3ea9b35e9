"""LoRA on the decoder layers."""

import pytest
import torch

from ist_core.adapters import add_adapters
from ist_core.errors import AdapterError
from ist_core.models import BaseModel
from ist_core.spec import LoraSpec

ALL = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_every_linear_module_of_a_layer_is_adapted_and_nothing_else(tiny_base: BaseModel) -> None:
    model = add_adapters(tiny_base.model, LoraSpec(rank=2), seed=0)
    trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trainable} == ALL
    assert all(".layers." in name and "lora_" in name for name in trainable)
    assert len(trainable) == 4 * len(ALL) * 2


def test_alpha_defaults_to_twice_the_rank(tiny_base: BaseModel) -> None:
    model = add_adapters(tiny_base.model, LoraSpec(rank=2, target_modules=("q_proj",)), seed=0)
    scalings = [module.scaling for name, module in model.named_modules() if name.endswith("q_proj")]
    assert scalings == [{"default": 2.0}] * 4


def test_adapters_stay_float32_on_bfloat16(tiny_base: BaseModel) -> None:
    model = add_adapters(tiny_base.model.to(torch.bfloat16), LoraSpec(rank=2), seed=0)  # type: ignore[arg-type]  # transformers hides its types
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}


def test_an_unknown_target_is_named_with_the_known_ones(tiny_base: BaseModel) -> None:
    with pytest.raises(AdapterError, match=r"'lm_head', 'query'; they have down_proj, gate_proj") as caught:
        add_adapters(tiny_base.model, LoraSpec(target_modules=("query", "q_proj", "lm_head")), seed=0)
    assert caught.value.param == "adapter.target_modules"
