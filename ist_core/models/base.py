"""Loads a base model and its tokenizer from a folder, a GGUF file or the Hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ist_core.catalog import ModelSource
from ist_core.errors import ModelError
from ist_core.models.gguf import convert_gguf
from ist_core.models.quiet import no_progress_bars


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A frozen base model in evaluation mode, and its tokenizer (which always has a padding token)."""

    source: ModelSource
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def context_window(base: BaseModel) -> int:
    """Return the positions that the model and its tokenizer were made for; a huge number: they do not say."""
    config = base.model.config.get_text_config(decoder=True)
    # Asked as an attribute, for GPT-2's config maps it to a name of its own. BLOOM's has none; a tokenizer
    # without a limit says 1e30.
    positions: int | None = getattr(config, "max_position_embeddings", None)
    limit = int(base.tokenizer.model_max_length)
    return limit if positions is None else min(limit, positions)


def default_cache() -> Path:
    """Return where converted models are kept when nobody says where."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus" / "models"


def load_base_model(
    source: ModelSource, *, cache_dir: Path, dtype: torch.dtype, device: torch.device
) -> BaseModel:
    """Load what `source` names; a GGUF file is converted once into `cache_dir`.

    Raises:
        ModelError: if it cannot be read as a causal language model.
    """
    location = (
        str(convert_gguf(Path(source.location), cache_dir)) if source.kind == "gguf" else source.location
    )
    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(location)
            model = AutoModelForCausalLM.from_pretrained(location, dtype=dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ModelError(f"the model {source.name!r} cannot be loaded: {error}") from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(f"the tokenizer of {source.name!r} has neither a padding nor an end token")
        # Padded positions are masked and never supervised, so the end token serves.
        tokenizer.pad_token = tokenizer.eos_token
    # The name that adapters record as their base: what a person would type, not a cache folder.
    model.name_or_path = source.location if source.kind == "folder" else source.name
    # Through nn.Module, because transformers wraps these methods in decorators that lose their types.
    nn.Module.to(model, device)
    nn.Module.eval(model)
    return BaseModel(source, model.requires_grad_(False), tokenizer)
