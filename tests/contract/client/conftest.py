"""The SDK in four ways: blocking and asynchronous, against the application in process and a live server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from isthmus import AsyncIsthmus, Isthmus

from api.app import create_app
from tests.contract.client.facade import InProcess, blocking
from tests.contract.conftest import Service

WAYS = ("blocking, live", "asynchronous, live", "blocking, in process", "asynchronous, in process")


@dataclass(frozen=True)
class Reach:
    """Makes clients of one kind, by their key."""

    way: str
    connect: Callable[[str], Isthmus]


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def application(service: Service, portal: BlockingPortal) -> Iterator[httpx2.ASGITransport]:
    """The live server's application, once more, without a server."""
    app = create_app(service.settings)
    with portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        yield httpx2.ASGITransport(app)


@pytest.fixture(scope="module", params=WAYS)
def reach(request: pytest.FixtureRequest, service: Service, portal: BlockingPortal) -> Iterator[Reach]:
    """One way to the service."""
    kind, place = request.param.split(", ")
    live = place == "live"
    url = service.url if live else "http://isthmus.test"
    transport = None if live else request.getfixturevalue("application")
    with ExitStack() as opened:

        def connect(key: str) -> Isthmus:
            if kind == "blocking":
                http = httpx2.Client(transport=None if transport is None else InProcess(transport, portal))
                opened.callback(http.close)
                return Isthmus(base_url=url, api_key=key, max_retries=0, http_client=http)
            async_http = httpx2.AsyncClient(transport=transport)
            opened.callback(portal.call, async_http.aclose)
            client = AsyncIsthmus(base_url=url, api_key=key, max_retries=0, http_client=async_http)
            return blocking(client, portal)

        yield Reach(request.param, connect)


@pytest.fixture
def client(reach: Reach, service: Service) -> Isthmus:
    """A client with the bootstrap key."""
    return reach.connect(service.key)
