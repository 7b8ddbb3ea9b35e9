"""From tokens to text that may be shown: whole characters, and nothing that could begin a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\ufffd"
"""What a tokenizer writes for bytes that are no character (yet)."""


class TextStream:
    """The text of one choice.

    Args:
        stop: strings that end it, none of them empty.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._tokens: list[int] = []
        # Tokens before `_shown` are in the text; those from `_context` on are decoded again with new ones,
        # because the spaces and characters at a border depend on both sides.
        self._context = 0
        self._shown = 0
        self._held = ""
        self.stopped = False
        """Whether a stop string came up; what follows it is not part of the text."""

    def push(self, token: int) -> str:
        """Take the next token; returns the text that can be shown now, often none."""
        self._tokens.append(token)
        text = self._new_text()
        if text.endswith(_UNFINISHED):
            return ""
        self._context, self._shown = self._shown, len(self._tokens)
        return self._release(text)

    def close(self) -> str:
        """Return the text that was held back; bytes of a character that was never finished are dropped."""
        text = self._release(self._new_text().rstrip(_UNFINISHED))
        rest, self._held = self._held, ""
        return text if self.stopped else text + rest

    def _new_text(self) -> str:
        before = self._decode(self._tokens[self._context : self._shown])
        return self._decode(self._tokens[self._context :])[len(before) :]

    def _decode(self, tokens: list[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _release(self, text: str) -> str:
        """Add decoded text; returns what can be no part of a stop string."""
        text = self._held + text
        # The one that is complete first, however many characters a token has; of several the longest.
        found = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return how much of the end of `text` is a beginning of `stop`."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
