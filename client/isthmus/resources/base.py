"""What resources share: one answer, or pages that are turned by themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Generic

from isthmus.async_driver import AsyncDriver
from isthmus.core.fetching import fetch, pages
from isthmus.core.request import Request
from isthmus.sync_driver import SyncDriver
from isthmus.types.base import Item, Model, Page


class Pages(Generic[Item]):
    """A list of the service, asked for page by page as you go over it; each iteration begins anew."""

    def __init__(self, driver: SyncDriver, request: Request, page_model: type[Page[Item]]) -> None:
        self._driver = driver
        self._request = request
        self._page_model = page_model

    def __iter__(self) -> Iterator[Item]:
        """Yield every item of every page."""
        for page in self.pages():
            yield from page.data

    def pages(self) -> Generator[Page[Item], None, None]:
        """Yield the pages; each has `data` and `has_more`."""
        driver = self._driver
        return driver.iterate(pages(self._request, self._page_model, driver.options.retries, driver))

    def first_page(self) -> Page[Item]:
        """The first page alone."""
        driver = self._driver
        return driver.run(fetch(self._request, self._page_model, driver.options.retries, driver))


class AsyncPages(Generic[Item]):
    """A list of the service, asked for page by page as you go over it; each iteration begins anew."""

    def __init__(self, driver: AsyncDriver, request: Request, page_model: type[Page[Item]]) -> None:
        self._driver = driver
        self._request = request
        self._page_model = page_model

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Yield every item of every page."""
        async with aclosing(self.pages()) as turned:
            async for page in turned:
                for item in page.data:
                    yield item

    def pages(self) -> AsyncGenerator[Page[Item], None]:
        """Yield the pages; each has `data` and `has_more`."""
        driver = self._driver
        return driver.iterate(pages(self._request, self._page_model, driver.options.retries, driver))

    async def first_page(self) -> Page[Item]:
        """The first page alone."""
        driver = self._driver
        return await driver.run(fetch(self._request, self._page_model, driver.options.retries, driver))


class Resource:
    """A resource of the blocking client."""

    def __init__(self, driver: SyncDriver) -> None:
        self._driver = driver

    def _fetch(self, request: Request, model: type[Model]) -> Model:
        return self._driver.run(fetch(request, model, self._driver.options.retries, self._driver))

    def _list(self, request: Request, page_model: type[Page[Item]]) -> Pages[Item]:
        return Pages(self._driver, request, page_model)


class AsyncResource:
    """A resource of the asynchronous client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def _fetch(self, request: Request, model: type[Model]) -> Model:
        return await self._driver.run(fetch(request, model, self._driver.options.retries, self._driver))

    def _list(self, request: Request, page_model: type[Page[Item]]) -> AsyncPages[Item]:
        return AsyncPages(self._driver, request, page_model)
