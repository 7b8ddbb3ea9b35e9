"""Models of other families: answers beside transformers' own, adapters beside PEFT's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING

from ist_core.models.quiet import no_progress_bars
from tests.tiny_model import make_tiny_tokenizer
from tests.unit.ist_core.inference.talks import ask, decode, generate, new_engine, talk, write_adapter

SIZES: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": None,
}
FAMILIES: dict[str, tuple[dict[str, Any], str]] = {
    # Weights lie the other way round, and modules have biases, which DoRA does not scale.
    "gpt2": ({}, "c_fc"),
    # Positions are counted from the mask, and rows and tokens are one axis in its feed-forward layers.
    "opt": ({"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.2}, "fc1"),
    # Some layers look back over a few tokens only.
    "mistral": ({"num_key_value_heads": 2, "sliding_window": 16}, "up_proj"),
    "cohere2": ({"num_key_value_heads": 2, "sliding_window": 16}, "up_proj"),
}
_CAUSAL: Any = AutoModelForCausalLM
TEXTS = ["hello", "count one two three four", "you " * 20, "{}"]


def make_model(family: str, folder: Path) -> Path:
    """Save a tiny random model of a family with the tiny tokenizer."""
    tokenizer = make_tiny_tokenizer()
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    values = SIZES | FAMILIES[family][0] | tokens | {"vocab_size": len(tokenizer)}
    config = CONFIG_MAPPING[family](**values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _CAUSAL.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.data += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_with_and_without_an_adapter_are_answered_as_alone(family: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(), no_progress_bars():
        # PEFT reads transformers' old name of this property.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        folder = make_model(family, tmp_path / family)
        config = LoraConfig(r=4, use_dora=True, target_modules=[FAMILIES[family][1]])
        config.fan_in_fan_out = family == "gpt2"
        adapter = write_adapter(folder, config, tmp_path / "adapter")
    adapters = [adapter if turn % 2 else None for turn in range(len(TEXTS))]
    requests = [
        ask(text, text, adapter=used, max_tokens=16) for text, used in zip(TEXTS, adapters, strict=True)
    ]
    answers = talk(new_engine(folder), requests, between=3)
    for text, used in zip(TEXTS, adapters, strict=True):
        expected = decode(folder, generate(folder, text, adapter=used, tokens=16))
        assert answers[text, 0].text == expected
    base = decode(folder, generate(folder, TEXTS[1], tokens=16))
    assert answers[TEXTS[1], 0].text != base
