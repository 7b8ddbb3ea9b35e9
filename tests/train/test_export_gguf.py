"""GGUF exports: transformers reads them back, and what they say of themselves is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    LlamaConfig,
    LlamaTokenizer,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
)
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.utils.quantization_config import GgufConfig

from ist_core.base_facts import BaseFacts
from ist_core.errors import ExportUnsupported
from ist_core.export import ExportFormat
from ist_core.export.gguf_file import write_gguf
from tests.tiny_model import CHATML, make_tiny_tokenizer
from tests.train.exports import ask, export, llama_numbers, logits_with_peft, make_adapter, make_base

SCALED = {
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


def read(path: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load a GGUF file by plain transformers."""
    model = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(gguf_file=path.name, dequantize=True),
    )
    return model, AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def fields(path: Path) -> dict[str, Any]:
    """Return what a GGUF file says, by gguf's reader."""
    return {name: field.contents() for name, field in GGUFReader(path).fields.items()}


@pytest.mark.parametrize(
    ("form", "kind", "share"), [("gguf_f16", "F16", 0.003), ("gguf_q8_0", "Q8_0", 0.02)], ids=["f16", "q8_0"]
)
def test_transformers_reads_the_trained_model_back(
    tiny_folder: Path, tmp_path: Path, form: ExportFormat, kind: str, share: float
) -> None:
    adapter = make_adapter(tiny_folder, tmp_path)
    manifest = export(tiny_folder, adapter, form, tmp_path / "out", name="ft:tiny:acme:1")
    path = tmp_path / "out" / f"ft-tiny-acme-1-{kind}.gguf"
    assert [entry.path for entry in manifest.files] == [path.name]
    model, tokenizer = read(path)
    expected = logits_with_peft(tiny_folder, adapter)
    assert (ask(model) - expected).abs().mean() < share * expected.std()
    assert model.config.tie_word_embeddings
    stored = {tensor.name: tensor.tensor_type for tensor in GGUFReader(path).tensors}
    assert "output.weight" not in stored
    assert stored["token_embd.weight"] == GGMLQuantizationType[kind]
    assert stored["blk.0.attn_norm.weight"] == GGMLQuantizationType.F32
    was = AutoTokenizer.from_pretrained(tiny_folder)
    assert tokenizer("One <|im_start|>two, 34.")["input_ids"] == was("One <|im_start|>two, 34.")["input_ids"]
    assert tokenizer.chat_template == was.chat_template
    assert tokenizer.eos_token == was.eos_token


def test_the_file_says_what_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    (tiny_folder / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    try:
        export(
            tiny_folder, make_adapter(tiny_folder, tmp_path), "gguf_f16", tmp_path / "out", name="my model"
        )
    finally:
        (tiny_folder / "README.md").unlink()
    told = fields(tmp_path / "out" / "my-model-F16.gguf")
    assert told["general.architecture"] == "llama"
    assert (told["general.name"], told["general.license"]) == ("my model", "mit")
    assert told["general.base_model.0.name"] == "tiny"
    assert told["llama.context_length"] == 512
    assert told["tokenizer.ggml.model"] == "gpt2"
    assert told["tokenizer.ggml.pre"] == "gpt-2"
    assert told["tokenizer.ggml.add_bos_token"] is False
    assert told["tokenizer.ggml.tokens"][told["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"
    assert told["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (LlamaConfig(**llama_numbers(head_dim=16)), "llama"),
        (LlamaConfig(**llama_numbers(num_key_value_heads=4)), "llama"),
        (MistralConfig(**llama_numbers(sliding_window=64)), "llama"),
        (Qwen2Config(**llama_numbers(tie_word_embeddings=True)), "qwen2"),
        (LlamaConfig(**llama_numbers(rope_parameters=SCALED["linear"])), "llama"),
        (LlamaConfig(**llama_numbers(rope_parameters=SCALED["llama3"])), "llama"),
    ],
    ids=["wide heads", "all heads", "mistral", "qwen2", "linear", "llama3"],
)
def test_the_family_is_written_as_llama_cpp_has_it(
    config: PreTrainedConfig, architecture: str, tmp_path: Path
) -> None:
    base = make_base(config, tmp_path / "base")
    manifest = export(base, make_adapter(base, tmp_path), "gguf_f16", tmp_path / "out")
    told = fields(tmp_path / "out" / "tiny-F16.gguf")
    assert told["general.architecture"] == architecture
    assert len(told["tokenizer.ggml.tokens"]) == 400
    assert told["tokenizer.ggml.tokens"][399] == "[PAD399]"
    assert told[f"{architecture}.context_length"] == (64 if config.model_type == "mistral" else 512)
    check = manifest.check
    assert check.mean_difference < 2e-3 * check.spread


def test_scores_stand_for_the_merges_of_sentencepiece(tmp_path: Path) -> None:
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "t", "o", "w", "e", "▁t", "wo", "▁two", "on", "one", "n", "▁one", "to", "we"]
    merges = [
        ("w", "o"),
        ("▁", "t"),
        ("▁t", "wo"),
        ("o", "n"),
        ("on", "e"),
        ("▁", "one"),
        ("t", "o"),
        ("w", "e"),
    ]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, chat_template=CHATML)
    config = LlamaConfig(**llama_numbers(vocab_size=len(words), pad_token_id=None))
    base = make_base(config, tmp_path / "base", tokenizer)
    manifest = export(base, make_adapter(base, tmp_path), "gguf_q8_0", tmp_path / "out")
    assert manifest.check.tokens_agree
    told = fields(tmp_path / "out" / "tiny-Q8_0.gguf")
    assert told["tokenizer.ggml.model"] == "llama"
    assert told["tokenizer.ggml.add_bos_token"] is True
    assert told["tokenizer.ggml.add_space_prefix"] is True
    assert told["tokenizer.ggml.token_type"][:4] == [2, 3, 3, 6]
    scores = dict(zip(words, told["tokenizer.ggml.scores"], strict=True))
    assert scores["wo"] > scores["▁t"] > scores["▁two"] > scores["on"] > scores["we"] > scores["t"]


@pytest.mark.parametrize(
    ("cut", "name"),
    [
        (pre_tokenizers.ByteLevel(add_prefix_space=False), "gpt-2"),
        (
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Digits(individual_digits=True),
                    pre_tokenizers.ByteLevel(add_prefix_space=False),
                ]
            ),
            "smollm",
        ),
        *(
            (
                pre_tokenizers.Sequence(
                    [
                        pre_tokenizers.Split(Regex(GGUF_PRE_TOKENIZER_SPLITS[name]), behavior="isolated"),
                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                    ]
                ),
                name,
            )
            for name in ("llama-bpe", "qwen2", "tekken")
        ),
        (pre_tokenizers.Whitespace(), None),
    ],
    ids=["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "unknown"],
)
def test_the_rule_that_cuts_text_is_told_by_llama_cpps_name(
    cut: Any, name: str | None, tmp_path: Path
) -> None:
    tokenizer = make_tiny_tokenizer()
    backend: Tokenizer = tokenizer.backend_tokenizer
    backend.pre_tokenizer = cut
    model = AutoModelForCausalLM.from_config(LlamaConfig(**llama_numbers()))  # type: ignore[no-untyped-call]
    base = BaseFacts("tiny", hub=False, license=None, file=None, tokenizer_rule=None)

    def write() -> Path:
        return write_gguf(
            model, tokenizer, tmp_path, weights="float16", name="tiny", base=base, progress=lambda _: None
        )

    if name is None:
        with pytest.raises(ExportUnsupported, match="cuts text up by a rule that is none of gpt-2, smollm"):
            write()
    else:
        assert fields(write())["tokenizer.ggml.pre"] == name


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            GPT2Config(vocab_size=400, n_embd=32, n_layer=2, n_head=4),
            "written for llama, mistral, qwen2; the model is gpt2",
        ),
        (LlamaConfig(**llama_numbers(attention_bias=True)), "biases in attention"),
        (LlamaConfig(**llama_numbers(hidden_act="gelu")), "the activation gelu"),
        (
            LlamaConfig(
                **llama_numbers(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4})
            ),
            "positions scaled by dynamic",
        ),
    ],
    ids=["family", "biases", "activation", "positions"],
)
def test_what_gguf_cannot_hold_is_refused_by_name(
    config: PreTrainedConfig, reason: str, tmp_path: Path
) -> None:
    base = make_base(config, tmp_path / "base")
    adapter = make_adapter(base, tmp_path)
    lines: list[str] = []
    with pytest.raises(ExportUnsupported, match=reason):
        export(base, adapter, "gguf_q8_0", tmp_path / "out", progress=lines.append)
    assert lines == ["Loading tiny with its adapter"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "base"]
