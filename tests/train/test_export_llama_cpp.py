"""GGUF exports in llama.cpp itself: the same tokens, the same logits, the same answers."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedConfig, Qwen2Config

from ist_core.export import ExportFormat
from ist_core.export.check import ask, compare
from ist_core.export.prompts import check_prompts, encode_prompts
from tests.train.exports import export, llama_numbers, make_adapter, make_base

pytestmark = [
    pytest.mark.llama_cpp,
    pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed"),
]
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
HEADS = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}


@pytest.mark.parametrize("form", ["gguf_f16", "gguf_q8_0"])
@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**llama_numbers(**HEADS, tie_word_embeddings=True)),
        LlamaConfig(**llama_numbers(**HEADS, rope_parameters=LLAMA3)),
        Qwen2Config(**llama_numbers(**HEADS)),
    ],
    ids=["llama", "llama3", "qwen2"],
)
def test_llama_cpp_answers_as_the_trained_model(
    config: PreTrainedConfig, form: ExportFormat, tmp_path: Path
) -> None:
    base = make_base(config, tmp_path / "base")
    adapter = make_adapter(base, tmp_path)
    manifest = export(base, adapter, form, tmp_path / "out")
    export(base, adapter, "merged", tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    prompts = check_prompts(tokenizer)
    tokens = encode_prompts(tokenizer, prompts, window=512)
    engine = load(next((tmp_path / "out").glob("*.gguf")))
    check = compare(
        ask(model, tokens, torch.device("cpu")),
        [answer(engine, prompt) for prompt in tokens],
        prompts=prompts,
        tokens_agree=[tokenize(engine, prompt) for prompt in prompts] == tokens,
        weights=manifest.weights,
    )
    assert check.tokens_agree
    assert check.verdict == "passed", check
    assert engine.metadata["tokenizer.chat_template"] == tokenizer.chat_template


def load(path: Path) -> Any:
    """Load a file in llama.cpp."""
    return import_module("llama_cpp").Llama(str(path), n_ctx=512, logits_all=True, verbose=False)


def tokenize(engine: Any, text: str) -> list[int]:
    """Return llama.cpp's tokens."""
    tokens: list[int] = engine.tokenize(text.encode(), add_bos=False, special=True)
    return tokens


def answer(engine: Any, tokens: list[int]) -> Tensor:
    """Return llama.cpp's logits, [positions, vocabulary]."""
    engine.reset()
    engine.eval(tokens)
    return torch.from_numpy(np.array(engine.scores[: len(tokens)]))
