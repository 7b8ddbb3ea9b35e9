"""What an export is asked in its check: texts of several kinds, and a conversation in the model's words."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

TEXTS = (
    "The capital of France is Paris. The largest planet of the solar system is",
    'def total(prices):\n    return sum(price * 1.19 for price in prices)\n\n{"item": "lamp", "quantity": 3}',
    "Żółw i jeż: naïve café, Übergröße, 東京タワー, Привет мир, 🙂 — 12,345.67 €.",
)
_MOST_TOKENS = 1024
"""Of a prompt, for models without a window."""
_CHAT = (
    {"role": "user", "content": "Name three primary colours."},
    {"role": "assistant", "content": "Red, yellow and blue."},
    {"role": "user", "content": "Which two of them make green?"},
)


def check_prompts(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the texts of the check; the last is a conversation, if there is a template."""
    return [*TEXTS, *_conversations(tokenizer)]


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], *, window: int
) -> list[list[int]]:
    """Return the first `window` tokens of each prompt; templates write special tokens themselves."""
    encoded = [tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in prompts]
    return [list(tokens[:window]) for tokens in encoded]


def window_of(config: PreTrainedConfig) -> int:
    """Return how many tokens the model sees whole: its positions, or as far as its attention looks back."""
    values = config.to_dict()
    limits = [values.get("max_position_embeddings"), values.get("sliding_window")]
    return min([limit for limit in limits if limit], default=_MOST_TOKENS)


def _conversations(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    if tokenizer.chat_template is None:
        return []
    for messages in (_CHAT, _CHAT[:1]):
        try:
            return [
                str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))
            ]
        except jinja2.TemplateError:
            continue  # a template may refuse several turns
    return []
