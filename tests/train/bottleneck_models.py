"""Tiny models with bottleneck adapters, for the tests of both files on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from ist_core.bottleneck import BottleneckConfig, BottleneckLinear

TARGETS = ["q_proj", "v_proj", "up_proj", "down_proj"]
VARIANTS = pytest.mark.parametrize("variant", ["series", "parallel"])
IDS = torch.arange(24).reshape(2, 12) + 5
# PEFT 0.21 still reads an attribute that transformers 5.23 has renamed; the code under test does not.
QUIET = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def load_base(folder: Path, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """Load the tiny Llama of `folder`, ready to be asked."""
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=dtype)
    model.train(False)
    return model


def make_config(**fields: Any) -> BottleneckConfig:
    """Make a small seeded config; `fields` replace its own."""
    defaults: dict[str, Any] = {"target_modules": TARGETS, "bottleneck_size": 8, "init_seed": 1}
    return BottleneckConfig(**(defaults | fields))


def adapt(folder: Path, dtype: torch.dtype = torch.float32, **fields: Any) -> PeftModel:
    """Put adapters of `make_config(**fields)` on the tiny Llama."""
    return get_peft_model(load_base(folder, dtype), make_config(**fields)).eval()


def logits(model: nn.Module) -> Tensor:
    """Ask the model about `IDS`."""
    with torch.no_grad():
        output: Tensor = model(IDS).logits
    return output


def adapted_layers(model: nn.Module) -> dict[str, BottleneckLinear]:
    """Find the modules that carry adapters, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BottleneckLinear)}


def take_steps(model: PeftModel, steps: int = 3) -> None:
    """Train on `IDS` by plain SGD, so that the adapters differ from their start."""
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        model(IDS, labels=IDS).loss.backward()
        optimizer.step()
    model.eval()
