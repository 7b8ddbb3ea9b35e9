"""Tiny trained models to export, and what their exports are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from ist_core.adapters import add_adapters
from ist_core.artifacts import save_adapter
from ist_core.catalog import ModelSource
from ist_core.export import ExportFormat, Manifest, export_model
from ist_core.spec import BottleneckSpec, LoraSpec
from tests.tiny_model import make_tiny_tokenizer

IDS = torch.arange(24).reshape(2, 12) + 5
LORA = LoraSpec(rank=4)


def source_of(folder: Path) -> ModelSource:
    """Return the folder's model as a base model."""
    return ModelSource("folder", "tiny", str(folder))


def make_adapter(base: Path, folder: Path, spec: LoraSpec | BottleneckSpec = LORA) -> Path:
    """Put an adapter that clearly changes the model into `folder`; return where it is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)  # GPT-2's modules
        model = add_adapters(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), spec, seed=1)
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    save_adapter(model, AutoTokenizer.from_pretrained(base), folder)
    return folder / "adapter"


def make_base(
    config: PreTrainedConfig, folder: Path, tokenizer: PreTrainedTokenizerBase | None = None
) -> Path:
    """Save a random model of `config`, with weights as large as trained ones, and a tokenizer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # has no types here
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.2)
            else:
                nn.init.normal_(parameter, mean=float(parameter.data.mean()), std=0.1)
    model.save_pretrained(folder)
    (tokenizer or make_tiny_tokenizer()).save_pretrained(folder)
    return folder


def llama_numbers(**changes: Any) -> dict[str, Any]:
    """Return the shape of a tiny model of the Llama family."""
    numbers = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return numbers | changes


def export(base: Path, adapter: Path, form: ExportFormat, folder: Path, **options: Any) -> Manifest:
    """Export with the cache beside the export."""
    cache_dir = folder.parent / "cache"
    return export_model(source_of(base), adapter, form, folder, cache_dir=cache_dir, **options)


def logits_with_peft(base: Path, adapter: Path) -> Tensor:
    """Ask base and adapter about `IDS`, by plain transformers and peft."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return ask(PeftModel.from_pretrained(model, str(adapter)))


def ask(model: Callable[[Tensor], Any]) -> Tensor:
    """Ask a model about `IDS`."""
    with torch.no_grad():
        logits: Tensor = model(IDS).logits
    return logits
