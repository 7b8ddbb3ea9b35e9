"""IST on a base model in 8 or 4 bits (QLoRA): needs a CUDA device and bitsandbytes, else it is skipped."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from ist_core import IST, IstSpec
from ist_core.ist import layer_groups
from tests.train import trainers

pytestmark = [
    *trainers.QUIET,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="8- and 4-bit bases need a CUDA device"),
    pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"),
]


@pytest.mark.parametrize("config", [{"load_in_8bit": True}, {"load_in_4bit": True}], ids=["8bit", "4bit"])
@pytest.mark.parametrize("dora", [False, True])
def test_a_quantised_base_trains_its_selected_layers(
    config: dict[str, Any], dora: bool, tiny_folder: Path
) -> None:
    bits: Any = BitsAndBytesConfig  # transformers and peft have no types here
    prepare: Any = prepare_model_for_kbit_training
    base = prepare(AutoModelForCausalLM.from_pretrained(tiny_folder, quantization_config=bits(**config)))
    model = get_peft_model(base, LoraConfig(r=4, use_dora=dora, target_modules="all-linear"))
    batch = torch.arange(24, device="cuda").reshape(2, 12) + 5

    def loss(one: Any, tokens: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = one(input_ids=tokens, labels=tokens).loss
        return value

    spec = IstSpec(
        policy="importance", update_fraction=0.5, probe_interval=2, warmup_steps=1, scorer="combined"
    )
    ist = IST(model, spec, probe=[batch], loss=loss)
    optimizer = torch.optim.AdamW(layer_groups(ist.layers), lr=1e-2)
    for _ in range(6):
        before = [[p.detach().clone() for p in layer.parameters] for layer in ist.layers]
        with ist.step() as record:
            torch.autograd.backward(loss(model, batch))
            optimizer.step()
            optimizer.zero_grad()
        changed = {
            index
            for index, layer in enumerate(ist.layers)
            if any(not torch.equal(a, b) for a, b in zip(layer.parameters, before[index], strict=True))
        }
        assert changed == set(record.active)
    assert any(score != 0.0 for score in ist.importance)
