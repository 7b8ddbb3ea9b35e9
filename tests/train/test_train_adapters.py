"""Whole runs of `train` with every kind of adapter."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.train.runs import DRAWN, make_spec, run, steps_of, weights_of

ADAPTERS = {
    "dora": {"rank": 4, "dora": True},
    "rslora": {"rank": 4, "alpha": 8, "rslora": True},
    "series": {"type": "bottleneck", "variant": "series", "size": 4, "non_linearity": "gelu"},
    "parallel": {"type": "bottleneck", "size": 4, "scaling": 2.0},
}
CONFIGS = {
    "dora": {"peft_type": "LORA", "use_dora": True, "use_rslora": False},
    "rslora": {"peft_type": "LORA", "use_dora": False, "use_rslora": True, "lora_alpha": 8},
    "series": {"peft_type": "BOTTLENECK", "variant": "series", "bottleneck_size": 4, "non_linearity": "gelu"},
    "parallel": {"peft_type": "BOTTLENECK", "variant": "parallel", "scaling": 2.0},
}


@pytest.mark.parametrize("scorer", ["suppression", "gate"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_it_learns_layer_by_layer_and_loads_with_plain_peft(
    tiny_folder: Path, chat_file: Path, tmp_path: Path, name: str, scorer: str
) -> None:
    spec = make_spec(
        tiny_folder,
        chat_file,
        adapter=ADAPTERS[name],
        ist=DRAWN | {"probe_interval": 3, "warmup_steps": 2, "scorer": scorer},
        learning_rate=3e-2,
    )
    result, emitted = run(spec, tmp_path)
    steps = steps_of(emitted)
    assert steps[-1].metrics["loss"] < steps[0].metrics["loss"] - 0.1
    assert {len(record.active) for record in steps[2:]} == {1}
    assert len(set(steps[-1].importance)) > 1
    adapter = tmp_path / result.adapter_dir
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert {key: config[key] for key in CONFIGS[name]} == CONFIGS[name]
    assert all(value.dtype is torch.float32 for value in weights_of(tmp_path).values())

    tokens = AutoTokenizer.from_pretrained(adapter)("Say hello.", return_tensors="pt")["input_ids"]
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    with torch.no_grad():
        plain = base(tokens).logits
        tuned = PeftModel.from_pretrained(base, adapter)(tokens).logits
    assert not torch.allclose(plain, tuned)
