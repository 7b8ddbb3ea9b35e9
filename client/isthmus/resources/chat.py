"""`client.chat`: talk to a base model, a tuned one, or a checkpoint."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Unpack

from isthmus.core import chat as core
from isthmus.resources.base import AsyncResource, Resource
from isthmus.types.chat import ChatChunk, ChatCompletion, ChatParams


class Chat(Resource):
    """Conversations; nothing of them is kept by the service."""

    def create(self, **params: Unpack[ChatParams]) -> ChatCompletion:
        """The whole answer: `model`, `messages`, and how it is to be drawn.

        Raises BadRequest, NotFound, RateLimited (too many wait; `retry_after` says when), ServerError.
        """
        return self._fetch(core.whole(params), ChatCompletion)

    def stream(self, **params: Unpack[ChatParams]) -> Generator[ChatChunk, None, None]:
        """The answer chunk by chunk while it is written, at last the usage; closing it cancels the rest."""
        return self._driver.iterate(core.chunks(params, self._driver.options.retries))


class AsyncChat(AsyncResource):
    """Conversations; nothing of them is kept by the service."""

    async def create(self, **params: Unpack[ChatParams]) -> ChatCompletion:
        """The whole answer: `model`, `messages`, and how it is to be drawn.

        Raises BadRequest, NotFound, RateLimited (too many wait; `retry_after` says when), ServerError.
        """
        return await self._fetch(core.whole(params), ChatCompletion)

    def stream(self, **params: Unpack[ChatParams]) -> AsyncGenerator[ChatChunk, None]:
        """The answer chunk by chunk while it is written, at last the usage; closing it cancels the rest."""
        return self._driver.iterate(core.chunks(params, self._driver.options.retries))
