"""The merged format: a plain transformers folder, adapter and base in one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ist_core.models.quiet import no_progress_bars

SHARD_SIZE = "4GB"


def write_merged(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, weights: str
) -> None:
    """Write weights (in shards), config, generation config, tokenizer and chat template.

    Args:
        weights: float32, bfloat16 or float16; the model is turned into it in place, tensor by tensor.
    """
    dtype: torch.dtype = getattr(torch, weights)
    nn.Module.to(model, dtype)
    model.config.dtype = dtype
    with no_progress_bars():
        model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
        tokenizer.save_pretrained(folder)


def read_merged(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a merged export as anybody would, but in float32."""
    with no_progress_bars():
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(folder))
    return model, tokenizer
