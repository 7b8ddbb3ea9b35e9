"""Conversations to the tokens that a model goes on with."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.dataset.chat_rows import ChatMessage

from ist_core.encoding import ensure_template, render
from ist_core.errors import ChatError, DatasetError, WindowExceeded
from ist_core.models import BaseModel, context_window


class Prompter:
    """Writes prompts with a model's chat template.

    Raises:
        ModelError: if the model has no template, and no end token to build one on.
    """

    def __init__(self, base: BaseModel) -> None:
        self._tokenizer = base.tokenizer
        ensure_template(base.tokenizer)
        self.window = context_window(base)
        """How many tokens a prompt and its answer may have together."""

    def tokens(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Return the conversation with the assistant's turn opened, as tokens.

        Raises:
            ChatError: if there is no message, or the template refuses them.
            WindowExceeded: if the model's window leaves no room for an answer.
        """
        if not messages:
            raise ChatError("messages is empty; give at least one message to answer")
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = render(self._tokenizer, turns, 1, prompt=True)
        except DatasetError as error:
            raise ChatError(error.problems[0].reason) from error
        # The template writes the special tokens itself. verbose=False: the window is checked below.
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if not tokens:
            raise ChatError("the model's chat template makes no text of these messages; add some content")
        if len(tokens) >= self.window:
            raise WindowExceeded(
                f"the messages have {len(tokens)} tokens, and the model's window has {self.window} for them "
                "and the answer; shorten the messages"
            )
        return tokens

    def room(self, prompt: int, max_tokens: int | None, default: int) -> int:
        """Return how many tokens an answer to a prompt of so many tokens may have.

        Raises:
            WindowExceeded: if both are longer than the window.
        """
        left = self.window - prompt
        if max_tokens is not None and max_tokens > left:
            raise WindowExceeded(
                f"the messages have {prompt} tokens and max_tokens is {max_tokens}, together more than the "
                f"model's window of {self.window}; shorten the messages or ask for at most {left}",
                param="max_tokens",
            )
        return min(left, default) if max_tokens is None else max_tokens
