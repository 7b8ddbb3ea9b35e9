"""What an export is asked in its check: texts of several kinds, and a conversation in the model's words."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
from transformers import PreTrainedTokenizerBase

TEXTS = (
    "The capital of France is Paris. The largest planet of the solar system is",
    'def total(prices):\n    return sum(price * 1.19 for price in prices)\n\n{"item": "lamp", "quantity": 3}',
    "Żółw i jeż: naïve café, Übergröße, 東京タワー, Привет мир, 🙂 — 12,345.67 €.",
)
_CHAT = (
    {"role": "user", "content": "Name three primary colours."},
    {"role": "assistant", "content": "Red, yellow and blue."},
    {"role": "user", "content": "Which two of them make green?"},
)


def check_prompts(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return the texts of the check; the last is a conversation, if there is a template."""
    return [*TEXTS, *_conversations(tokenizer)]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Return the prompts' tokens; templates write special tokens themselves, so none are added."""
    return [list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in prompts]


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
