"""A tiny random Llama with its own tokenizer, saved as a plain transformers folder in under a second."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEXT = [
    "The quick brown fox jumps over the lazy dog.",
    "What is the capital of France? The capital of France is Paris.",
    '{"intent": "order", "product": "lamp", "quantity": 3}',
    "You are a helpful assistant. Say hello. Say goodbye.",
    "One two three four five six seven eight nine ten.",
]


def make_tiny_tokenizer(*, chat_template: str | None = DEFAULT_SYSTEM + CHATML) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of at most 400 tokens that can write any text.

    Args:
        chat_template: by default ChatML that adds a system prompt, as SmolLM2's does; None: no template.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT * 4, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>" if chat_template else "<|endoftext|>",
        pad_token="<|endoftext|>",
        model_max_length=512,
    )
    fast.chat_template = chat_template
    return fast


def make_tiny_model(
    folder: Path,
    *,
    layers: int = 4,
    tied: bool = True,
    chat_template: str | None = DEFAULT_SYSTEM + CHATML,
    seed: int = 0,
    spread: float = 0.02,
) -> Path:
    """Save a random Llama (hidden size 32) and its tokenizer in `folder`, which is made; return `folder`.

    Args:
        spread: standard deviation of the weights; with 0.2 what it writes varies, and depends on the prompt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tiny_tokenizer(chat_template=chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
