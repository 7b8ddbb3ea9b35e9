"""A chat request's answers as they grow: into one object, or into chunks."""

from __future__ import annotations

import time

from api.wire.chat import (
    AnswerMessage,
    ChatChoice,
    ChatCompletionChunk,
    ChatCompletionObject,
    ChatUsage,
    ChoiceDelta,
    ChunkChoice,
    FinishReason,
)
from store.chat_orders import ChatOrder, Piece


class Transcript:
    """What has been written so far of the `n` answers to a request."""

    def __init__(self, order: ChatOrder, model: str) -> None:
        self._id = order.id
        self._model = model
        self._created = int(time.time())
        self._texts: list[list[str]] = [[] for _ in range(order.n)]
        self._completion_tokens = [0] * order.n
        self._prompt_tokens = 0
        self._finished: dict[int, FinishReason] = {}

    @property
    def complete(self) -> bool:
        """Whether every answer has its end."""
        return len(self._finished) == len(self._texts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come yet."""
        return not any(self._texts)

    @property
    def usage(self) -> ChatUsage:
        """The tokens so far."""
        written = sum(self._completion_tokens)
        return ChatUsage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=written,
            total_tokens=self._prompt_tokens + written,
        )

    def add(self, piece: Piece) -> list[ChatCompletionChunk]:
        """Go on with an answer; returns that as chunks: role, text, end."""
        texts = self._texts[piece.index]
        deltas = [] if texts else [ChoiceDelta(role="assistant", content="")]
        texts.append(piece.text)
        self._prompt_tokens = piece.prompt_tokens
        self._completion_tokens[piece.index] = piece.completion_tokens
        if piece.text:
            deltas.append(ChoiceDelta(content=piece.text))
        chunks = [self._chunk(ChunkChoice(index=piece.index, delta=delta)) for delta in deltas]
        if piece.finish_reason is not None:
            self._finished[piece.index] = piece.finish_reason
            end = ChunkChoice(index=piece.index, delta=ChoiceDelta(), finish_reason=piece.finish_reason)
            chunks.append(self._chunk(end))
        return chunks

    def last_chunk(self) -> ChatCompletionChunk:
        """The one without choices that has the usage."""
        return ChatCompletionChunk(
            id=self._id, created=self._created, model=self._model, choices=[], usage=self.usage
        )

    def completion(self) -> ChatCompletionObject:
        """All of it, once it is complete."""
        choices = [
            ChatChoice(
                index=index,
                message=AnswerMessage(content="".join(texts)),
                finish_reason=self._finished[index],
            )
            for index, texts in enumerate(self._texts)
        ]
        return ChatCompletionObject(
            id=self._id, created=self._created, model=self._model, choices=choices, usage=self.usage
        )

    def _chunk(self, choice: ChunkChoice) -> ChatCompletionChunk:
        return ChatCompletionChunk(id=self._id, created=self._created, model=self._model, choices=[choice])
