"""Conversations to tokens and labels."""

from __future__ import annotations

import pytest
from isthmus.dataset.chat_rows import ChatMessage, ChatRow

from ist_core.encoding import Example, encode, encode_row, ensure_template
from ist_core.errors import DatasetError, ModelError
from tests.tiny_model import CHATML, make_tiny_tokenizer


def _row(*turns: tuple[str, str], line: int = 1) -> ChatRow:
    return ChatRow(line, tuple(ChatMessage(role, content) for role, content in turns))


def _learnt(example: Example, tokenizer: object) -> list[str]:
    """Return the supervised stretches as text."""
    parts: list[list[int]] = []
    for index, flag in enumerate(example.supervised):
        if flag and not (index and example.supervised[index - 1]):
            parts.append([])
        if flag:
            parts[-1].append(example.tokens[index])
    return [tokenizer.decode(part) for part in parts]  # type: ignore[attr-defined]  # transformers has no types


CHAT = _row(("user", "Say hello."), ("assistant", "hello äö"), ("user", "again"), ("assistant", "\n goodbye"))


def test_every_answer_is_learnt_up_to_its_end_token() -> None:
    tokenizer = make_tiny_tokenizer()
    example = encode_row(CHAT, tokenizer, max_length=500)
    assert _learnt(example, tokenizer) == ["hello äö<|im_end|>", "\n goodbye<|im_end|>"]
    text = str(tokenizer.decode(list(example.tokens)))
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user")
    assert not example.truncated


def test_the_prompt_is_tokenised_as_at_inference() -> None:
    tokenizer = make_tiny_tokenizer()
    example = encode_row(_row(*[(m.role, m.content) for m in CHAT.messages[:2]]), tokenizer, max_length=500)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Say hello."}], add_generation_prompt=True, return_dict=False
    )
    assert list(example.tokens[: example.supervised.index(True)]) == prompt


def test_a_model_without_template_gets_chatml_with_its_own_end_token() -> None:
    tokenizer = make_tiny_tokenizer(chat_template=None)
    assert ensure_template(tokenizer)
    assert not ensure_template(tokenizer)
    assert _learnt(encode_row(CHAT, tokenizer, max_length=500), tokenizer)[0] == "hello äö<|endoftext|>"
    bare = make_tiny_tokenizer(chat_template=None)
    bare.eos_token = None
    with pytest.raises(ModelError, match="no chat template and no end"):
        ensure_template(bare)


def test_long_rows_are_cut_and_useless_ones_named() -> None:
    tokenizer = make_tiny_tokenizer()
    whole = encode_row(CHAT, tokenizer, max_length=500)
    first = whole.supervised.index(True)
    cut = encode_row(CHAT, tokenizer, max_length=first + 2)
    assert cut.truncated
    assert cut.tokens == whole.tokens[: first + 2]
    with pytest.raises(DatasetError, match=rf"line 7: its first {first} tokens") as caught:
        encode(
            [
                _row(("user", "hi"), ("assistant", "yo")),
                _row(*[(m.role, m.content) for m in CHAT.messages], line=7),
            ],
            tokenizer,
            max_length=first,
        )
    assert caught.value.total == 1


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    tokenizer = make_tiny_tokenizer(chat_template="{{ messages | length }}" + CHATML)
    with pytest.raises(DatasetError, match="rewrites earlier turns") as caught:
        encode_row(CHAT, tokenizer, max_length=500)
    assert caught.value.problems[0].path == "messages[1]"


def test_a_template_that_refuses_a_row_is_quoted() -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    )
    tokenizer = make_tiny_tokenizer(chat_template=template)
    with pytest.raises(DatasetError, match=r"line 3, messages: .*no system"):
        encode_row(
            _row(("system", "x"), ("user", "y"), ("assistant", "z"), line=3), tokenizer, max_length=500
        )
