"""The blocking client."""

from __future__ import annotations

from typing import Self

import httpx2

from isthmus.core.fetching import fetch
from isthmus.core.request import get
from isthmus.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options
from isthmus.resources.chat import Chat
from isthmus.resources.checkpoints import Checkpoints
from isthmus.resources.files import Files
from isthmus.resources.jobs import Jobs
from isthmus.resources.keys import Keys
from isthmus.resources.models import Models
from isthmus.resources.projects import Projects
from isthmus.resources.uploads import Uploads
from isthmus.resources.webhooks import Webhooks
from isthmus.resources.workers import Workers
from isthmus.sync_driver import SyncDriver
from isthmus.types.organization import Quota


class Isthmus:
    """A client of an Isthmus service.

    Use it as a context manager, or call `close`. Threads may share it.
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_RETRIES,
        http_client: httpx2.Client | None = None,
    ) -> None:
        """Args: where the service is (else `ISTHMUS_BASE_URL`), the key (else `ISTHMUS_API_KEY`), the seconds
        that the network may stand still, how often a call is tried again, and an HTTP client of your own,
        which stays open when this one is closed.
        """
        options = Options.of(base_url, api_key, timeout=timeout, max_retries=max_retries)
        self._owns_http = http_client is None
        http = httpx2.Client() if http_client is None else http_client
        self._driver = driver = SyncDriver(http, options)
        self.files = Files(driver)
        self.uploads = Uploads(driver)
        self.jobs = Jobs(driver)
        self.checkpoints = Checkpoints(driver)
        self.models = Models(driver)
        self.chat = Chat(driver)
        self.workers = Workers(driver)
        self.webhooks = Webhooks(driver)
        self.projects = Projects(driver)
        self.keys = Keys(driver)

    def quota(self) -> Quota:
        """The limits of the key's project, and its use of them."""
        return self._driver.run(fetch(get("/v1/quota"), Quota, self._driver.options.retries))

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """The same client with another patience: `client.with_options(timeout=5).models.list()`.

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

    def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            self._driver.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
