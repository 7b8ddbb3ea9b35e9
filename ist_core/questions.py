"""Questions to a model: held-out conversations that end before their last answer, and that answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.dataset.chat_rows import ChatMessage, ChatRow
from isthmus.dataset.preferences import PreferenceRow
from transformers import PreTrainedTokenizerBase

from ist_core.encoding import render, tokenize


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that ends before an answer, and the answer that is expected."""

    row: int
    """Its place in the file; the first is 1."""
    line: int
    messages: tuple[ChatMessage, ...]
    expected: str
    """Without the white space around it."""

    def prompt(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return the tokens that the answer follows, by the model's chat template.

        Raises:
            DatasetError: if the template refuses the conversation.
        """
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        return tokenize(tokenizer, render(tokenizer, messages, self.line, prompt=True))


def questions_of(rows: Iterable[ChatRow | PreferenceRow]) -> list[Question]:
    """Return a question for each row that has one, in their order.

    What is expected is the last answer of a conversation, or the preferred one of a pair. A conversation
    whose only answer is its first message asks nothing.
    """
    found = []
    for number, row in enumerate(rows, start=1):
        messages, expected = _parts(row)
        if messages:
            found.append(Question(number, row.line, tuple(messages), expected.strip()))
    return found


def _parts(row: ChatRow | PreferenceRow) -> tuple[Sequence[ChatMessage], str]:
    if isinstance(row, PreferenceRow):
        return row.messages, row.preferred.content
    last = max(index for index, message in enumerate(row.messages) if message.role == "assistant")
    return row.messages[:last], row.messages[last].content
