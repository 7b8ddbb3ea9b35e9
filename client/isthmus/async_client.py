"""The asynchronous client."""

from __future__ import annotations

from typing import Self

import httpx2

from isthmus.async_driver import AsyncDriver
from isthmus.core.fetching import fetch
from isthmus.core.request import get
from isthmus.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options
from isthmus.resources.chat import AsyncChat
from isthmus.resources.checkpoints import AsyncCheckpoints
from isthmus.resources.files import AsyncFiles
from isthmus.resources.jobs import AsyncJobs
from isthmus.resources.keys import AsyncKeys
from isthmus.resources.models import AsyncModels
from isthmus.resources.projects import AsyncProjects
from isthmus.resources.uploads import AsyncUploads
from isthmus.resources.webhooks import AsyncWebhooks
from isthmus.resources.workers import AsyncWorkers
from isthmus.types.organization import Quota


class AsyncIsthmus:
    """A client of an Isthmus service.

    Use it as an asynchronous context manager, or await `close`; in one event loop.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_RETRIES,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        """Args: where the service is (else `ISTHMUS_BASE_URL`), the key (else `ISTHMUS_API_KEY`), the seconds
        that the network may stand still, how often a call is tried again, and an HTTP client of your own,
        which stays open when this one is closed.
        """
        options = Options.of(base_url, api_key, timeout=timeout, max_retries=max_retries)
        self._owns_http = http_client is None
        http = httpx2.AsyncClient() if http_client is None else http_client
        self._driver = driver = AsyncDriver(http, options)
        self.files = AsyncFiles(driver)
        self.uploads = AsyncUploads(driver)
        self.jobs = AsyncJobs(driver)
        self.checkpoints = AsyncCheckpoints(driver)
        self.models = AsyncModels(driver)
        self.chat = AsyncChat(driver)
        self.workers = AsyncWorkers(driver)
        self.webhooks = AsyncWebhooks(driver)
        self.projects = AsyncProjects(driver)
        self.keys = AsyncKeys(driver)

    async def quota(self) -> Quota:
        """The limits of the key's project, and its use of them."""
        return await self._driver.run(fetch(get("/v1/quota"), Quota, self._driver.options.retries))

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """The same client with another patience: `await client.with_options(timeout=5).models.list()`.

        It shares the connections, and is closed with this one.
        """
        options = self._driver.options
        return type(self)(
            base_url=options.base_url,
            api_key=options.api_key,
            timeout=options.timeout if timeout is None else timeout,
            max_retries=options.retries.most if max_retries is None else max_retries,
            http_client=self._driver.http,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            await self._driver.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
