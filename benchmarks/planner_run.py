"""One run of the planner's benchmark: `python -m benchmarks.planner_run SPEC OUTPUT FOLDER`.

`python -m benchmarks.planner_run models FOLDER` makes in FOLDER what the runs share: SmolLM2 converted, and
two random models with its tokenizer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.planner_settings import GPT2, LLAMA
from ist_core import JobSpec, train
from ist_core.catalog import SMOLLM2, Catalog


def make_models(folder: Path) -> None:
    """Convert SmolLM2 and write the random models."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from ist_core.models.gguf import convert_gguf

    converted = convert_gguf(Path(Catalog().resolve(SMOLLM2).location), folder)
    tokenizer = AutoTokenizer.from_pretrained(converted)
    words = len(tokenizer)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    gpt2 = GPT2Config(vocab_size=words, n_embd=384, n_layer=12, n_head=6, n_positions=512, **ends)
    llama = LlamaConfig(
        vocab_size=words,
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    )
    GPT2LMHeadModel(gpt2).save_pretrained(folder / GPT2)
    LlamaForCausalLM(llama).save_pretrained(folder / LLAMA)
    for name in (GPT2, LLAMA):
        tokenizer.save_pretrained(folder / name)


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    if arguments[0] == "models":
        make_models(Path(arguments[1]))
        return
    spec, output, folder = arguments
    train(JobSpec.model_validate_json(spec), output_dir=Path(output), cache_dir=Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
