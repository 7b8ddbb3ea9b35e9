"""Tiny models for the engine's unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel

from ist_core.adapters import add_adapters
from ist_core.catalog import ModelSource
from ist_core.ist import adapter_layers
from ist_core.models import BaseModel, load_base_model
from ist_core.spec import LoraSpec
from tests.tiny_fixtures import one_thread, tiny_folder

__all__ = ["one_thread", "tiny_folder"]


@pytest.fixture
def tiny_base(tiny_folder: Path, tmp_path: Path) -> BaseModel:
    """The tiny Llama, loaded anew."""
    source = ModelSource("folder", "tiny", str(tiny_folder))
    return load_base_model(source, cache_dir=tmp_path, dtype=torch.float32, device=torch.device("cpu"))


@pytest.fixture
def tiny_lora(tiny_base: BaseModel) -> PeftModel:
    """The tiny Llama with LoRA of rank 4 whose response is not zero."""
    model = add_adapters(tiny_base.model, LoraSpec(rank=4), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in adapter_layers(model):
            for parameter in layer.parameters:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model
