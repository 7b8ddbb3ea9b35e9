"""Conversations to tokens and labels: the chat template is rendered, assistant tokens are learnt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import jinja2
from isthmus.dataset.chat_rows import ChatRow
from isthmus.dataset.jsonl import MAX_PROBLEMS
from transformers import PreTrainedTokenizerBase

from ist_core.chat_template import FALLBACK_TEMPLATE
from ist_core.errors import DatasetError, ModelError, Problem


@dataclass(frozen=True, slots=True)
class Example:
    """One encoded conversation."""

    tokens: tuple[int, ...]
    supervised: tuple[bool, ...]
    """For each token, whether the model learns to predict it; the first token never is."""
    truncated: bool

    @property
    def length(self) -> int:
        """How many tokens there are."""
        return len(self.tokens)


def ensure_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Give a tokenizer without a chat template the fallback; return whether that was needed.

    Raises:
        ModelError: if it has neither a template nor an end token to build one on.
    """
    if tokenizer.chat_template is not None:
        return False
    if tokenizer.eos_token is None:
        raise ModelError(
            "the model's tokenizer has no chat template and no end-of-text token; use another model"
        )
    tokenizer.chat_template = FALLBACK_TEMPLATE
    return True


def encode(
    rows: Iterable[ChatRow],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    param: str | None = "training_file",
) -> list[Example]:
    """Return the rows as examples of at most `max_length` tokens, in order.

    Raises:
        DatasetError: with the first rows that do not fit the template or the length.
    """
    examples: list[Example] = []
    problems: list[Problem] = []
    for row in rows:
        try:
            examples.append(encode_row(row, tokenizer, max_length=max_length))
        except DatasetError as error:
            problems += error.problems
    if problems:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param=param)
    return examples


def encode_row(row: ChatRow, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Example:
    """Return one row as tokens, supervised on every assistant turn up to and with its end-of-turn token.

    What an assistant turn is, is found by rendering the conversation before it (with the generation prompt)
    and after it: both must be prefixes of the whole, in text and, up to one merged token, in tokens.

    Raises:
        DatasetError: if the template refuses the row, is not prefix-stable, or cuts all answers off.
    """
    messages = [{"role": message.role, "content": message.content} for message in row.messages]
    text = render(tokenizer, messages, row.line)
    tokens = tokenize(tokenizer, text)
    supervised = [False] * len(tokens)
    for index, message in enumerate(row.messages):
        if message.role != "assistant":
            continue
        before = render(tokenizer, messages[:index], row.line, prompt=True)
        after = render(tokenizer, messages[: index + 1], row.line)
        if not (text.startswith(after) and after.startswith(before)):
            reason = "the model's chat template rewrites earlier turns, so answers cannot be found"
            advice = "give each row one assistant message, or use a model with another template"
            raise DatasetError([Problem(row.line, f"messages[{index}]", f"{reason}; {advice}")])
        start = _answer_start(tokens, tokenize(tokenizer, before))
        stop = _answer_stop(
            tokens, start, _common(tokens, tokenize(tokenizer, after)), tokenizer.eos_token_id
        )
        supervised[start:stop] = [True] * (stop - start)
    supervised[0] = False
    if not any(supervised[:max_length]):
        reason = f"its first {max_length} tokens (of {len(tokens)}) hold no assistant token to learn"
        raise DatasetError([Problem(row.line, "", f"{reason}; shorten the row or raise max_length")])
    return Example(tuple(tokens[:max_length]), tuple(supervised[:max_length]), len(tokens) > max_length)


def render(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], line: int, *, prompt: bool = False
) -> str:
    """Return the conversation as the model's chat template writes it; `prompt` opens the assistant's turn.

    Raises:
        DatasetError: if the template refuses it; `line` says where it stands.
    """
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    except jinja2.TemplateError as error:
        reason = (
            f"the model's chat template refuses this conversation ({error}); change the order of its roles"
        )
        raise DatasetError([Problem(line, "messages", reason)]) from error
    return str(text)


def tokenize(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the tokens of what a chat template has written."""
    # The template writes the special tokens itself. verbose=False: max_length cuts, no warning is due.
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _common(left: list[int], right: list[int]) -> int:
    """Return the length of the longest common prefix."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))


def _answer_start(tokens: list[int], before: list[int]) -> int:
    """Return the first token that holds nothing of the prompt: a token merged across the border is prompt."""
    common = _common(tokens, before)
    return common if common == len(before) else common + 1


def _answer_stop(tokens: list[int], start: int, stop: int, end_token: int | None) -> int:
    """Return the end of the answer: what the template writes after the end-of-turn token is not learnt."""
    for index in range(stop - 1, start - 1, -1):
        if tokens[index] == end_token:
            return index + 1
    return stop
