"""The matrix's base models: one tiny random decoder of every family, built in milliseconds."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto import CONFIG_MAPPING
from transformers.pytorch_utils import Conv1D

from ist_core.ist.layers import decoder_layers

Shape = dict[str, Any]
LAYERS = 3
VOCABULARY = 64
MARK = 3
"""A token that every row has at its second place; adapters can wait for it (aLoRA)."""
SHAPE: Shape = {
    "vocab_size": VOCABULARY,
    "num_hidden_layers": LAYERS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    # Larger than a real model's: so small a model would otherwise hardly answer to its input.
    "initializer_range": 0.2,
    "use_cache": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
GROUPED: Shape = {"num_key_value_heads": 2}
FAMILIES: dict[str, Shape] = {
    "llama": GROUPED,
    "mistral": GROUPED,
    "mixtral": GROUPED | {"num_local_experts": 4},
    "qwen2": GROUPED,
    "qwen3": GROUPED | {"head_dim": 8},
    "gemma2": GROUPED | {"head_dim": 8},
    "gemma3_text": GROUPED | {"head_dim": 8},
    "phi3": GROUPED,
    "gpt2": {},
    "gptj": {"rotary_dim": 4},
    "gpt_neox": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.2},
    "bloom": {},
    "falcon": {},
    "olmo2": GROUPED,
}
"""transformers' `model_type` of each family, and what its config has beside `SHAPE`."""

_CAUSAL: Any = AutoModelForCausalLM


@dataclass(frozen=True, slots=True)
class Target:
    """What adapters can be put on in a model: short names, the same in every layer."""

    linears: list[str]
    norms: list[str]
    parameters: list[str]
    """Weights that LoRA adapts as bare parameters: a mixture's experts, or else the linears' own."""


def make_model(family: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Return the family's model; always the same weights."""
    config: PreTrainedConfig = CONFIG_MAPPING[family](**(SHAPE | FAMILIES[family]))
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        return cast("PreTrainedModel", _CAUSAL.from_config(config, dtype=dtype))


def adapt(base: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """Put adapters on a model; the same ones each time."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(1)
        return get_peft_model(base, config)


@cache
def target(family: str) -> Target:
    """Return what can be adapted in the family's model, found by structure."""
    _, stack = decoder_layers(make_model(family))
    linears, norms, parameters = [], [], []
    for name, module in stack[0].named_modules():
        short = name.rpartition(".")[2]
        if isinstance(module, nn.Linear | Conv1D):
            linears.append(short)
        elif type(module).__name__.endswith("Norm"):
            norms.append(short)
        elif type(module).__name__.endswith("Experts"):
            parameters += [f"{name}.{short}" for short, _ in module.named_parameters(recurse=False)]
    return Target(linears, norms, parameters or [f"{name}.weight" for name in linears])


def make_batch(number: int) -> Tensor:
    """Return the token ids of batch `number`, shape (2, 8)."""
    generator = torch.Generator().manual_seed(number)
    ids = torch.randint(MARK + 1, VOCABULARY, (2, 8), generator=generator)
    ids[:, 1] = MARK
    return ids


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, notes and progress bars: tiny models with odd targets call for many."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
