"""A tiny random Llama with LoRA on every layer."""

from __future__ import annotations

import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def tiny_llama(*, layers: int = 4) -> LlamaForCausalLM:
    """Return a random Llama of `layers` layers, the same one each time."""
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config)


def tiny_lora_model(*, layers: int = 4, rank: int = 2, dropout: float = 0.0, dora: bool = False) -> PeftModel:
    """Return `tiny_llama` with LoRA on every linear module of its layers, the same one each time."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft 0.21 asks for an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        torch.manual_seed(0)
        config = LoraConfig(
            r=rank, lora_alpha=6, lora_dropout=dropout, use_dora=dora, target_modules="all-linear"
        )
        model = get_peft_model(tiny_llama(layers=layers), config)
    assert isinstance(model, PeftModel)
    return model
