"""One choice of a request while it is written: its tokens so far, its text, and when it ends."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from transformers import PreTrainedTokenizerBase

from ist_core.errors import EngineError
from ist_core.inference.mixer import Adapter
from ist_core.inference.requests import ChatRequest, Delta, FinishReason
from ist_core.inference.sampling import Sampler
from ist_core.inference.text_stream import TextStream


class Choice:
    """Takes one token after the other until it is `finished`.

    Args:
        end_tokens: tokens that end the model's turn.
    """

    def __init__(
        self,
        request: ChatRequest,
        index: int,
        *,
        adapter: Adapter | None,
        tokenizer: PreTrainedTokenizerBase,
        end_tokens: AbstractSet[int],
        prompt_tokens: int,
        max_tokens: int,
    ) -> None:
        self.request_id = request.id
        self.adapter = adapter
        self.sampler = Sampler(
            temperature=request.temperature, top_p=request.top_p, seed=request.seed, index=index
        )
        self.last_token = -1
        """What the model reads next."""
        self.most_tokens = prompt_tokens + max_tokens
        """How many tokens it may come to hold in the cache."""
        self.finished = False
        self._index = index
        self._text = TextStream(tokenizer, request.stop)
        self._end_tokens = end_tokens
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._max_tokens = max_tokens

    def take(self, token: int) -> list[Delta]:
        """Go on by a token; returns what can be shown of it: one delta, or none for the moment."""
        self.last_token = token
        self._completion_tokens += 1
        if token in self._end_tokens:
            return [self._finish(self._text.close(), "stop")]
        text = self._text.push(token)
        if self._text.stopped:
            return [self._finish(text, "stop")]
        if self._completion_tokens == self._max_tokens:
            text += self._text.close()
            return [self._finish(text, "stop" if self._text.stopped else "length")]
        return [self._delta(text, None)] if text else []

    def fail(self, error: EngineError) -> Delta:
        """End without a finish reason."""
        self.finished = True
        return self._delta("", None, error)

    def _finish(self, text: str, reason: FinishReason) -> Delta:
        self.finished = True
        return self._delta(text, reason)

    def _delta(self, text: str, reason: FinishReason | None, error: EngineError | None = None) -> Delta:
        return Delta(
            self.request_id,
            self._index,
            text,
            reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            error=error,
        )
