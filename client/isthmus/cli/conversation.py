"""A conversation with one model: what was said, and the answer that is being written."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from isthmus import Isthmus
from isthmus.types.chat import ChatUsage, MessageParams


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn; None is left to the service."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None


class Conversation:
    """Grows by a message and its answer at a time; a message without an answer is not kept."""

    def __init__(self, client: Isthmus, model: str, system: str | None, sampling: Sampling) -> None:
        self.model = model
        self.answer = ""
        self.finish_reason: str | None = None
        """None: the answer was stopped."""
        self.usage: ChatUsage | None = None
        self._client = client
        self._sampling = sampling
        self._system: list[MessageParams] = [] if system is None else [{"role": "system", "content": system}]
        self._messages: list[MessageParams] = list(self._system)

    def clear(self) -> None:
        """Forget all that was said."""
        self._messages = list(self._system)

    def say(self, message: str) -> Generator[str, None, None]:
        """The answer's pieces; one that is stopped stays in the conversation as far as it came."""
        self.answer, self.finish_reason, self.usage = "", None, None
        said: MessageParams = {"role": "user", "content": message}
        sampling = self._sampling
        stream = self._client.chat.stream(
            model=self.model,
            messages=[*self._messages, said],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
        )
        try:
            with closing(stream) as chunks:
                for chunk in chunks:
                    self.answer += chunk.text
                    self.usage = chunk.usage or self.usage
                    for choice in chunk.choices:
                        self.finish_reason = choice.finish_reason or self.finish_reason
                    if chunk.text:
                        yield chunk.text
        finally:
            if self.answer:
                self._messages += [said, {"role": "assistant", "content": self.answer}]
