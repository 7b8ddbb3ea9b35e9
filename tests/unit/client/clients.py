"""Both clients, with a function in place of the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
from isthmus import AsyncIsthmus, Isthmus

Handler = Callable[[httpx2.Request], httpx2.Response]
FILE = {"id": "file-1", "bytes": 3, "created_at": 1, "filename": "a.jsonl", "purpose": "fine-tune"}
JOB = {"id": "ftjob-1", "created_at": 1, "model": "tiny", "training_file": "file-1", "status": "running"}


def blocking(handler: Handler, **options: Any) -> Isthmus:
    http = httpx2.Client(transport=httpx2.MockTransport(handler))
    return Isthmus(base_url="http://service/v1/", api_key="isk-1", http_client=http, **options)


def asynchronous(handler: Handler, **options: Any) -> AsyncIsthmus:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    return AsyncIsthmus(base_url="http://service/v1/", api_key="isk-1", http_client=http, **options)


async def both(handler: Handler, call: Callable[[Any], Any], **options: Any) -> list[Any]:
    """What a call comes to in the blocking and in the asynchronous client."""
    with blocking(handler, **options) as client:
        first = call(client)
    async with asynchronous(handler, **options) as client:
        return [first, await call(client)]
