"""Connections to the public internet alone: a name is looked up and checked here, then connected."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import httpcore2

from store.addresses import is_public


class PrivateAddress(ConnectionError):
    """A name that leads, at least in part, into somebody's own network."""


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Refuses names of addresses that are not public, unless `private` allows them.

    The address that was checked is the one that is used: looking it up again could give another.
    """

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of the name's addresses that answers."""
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # the latter: no name that could be one
            raise httpcore2.ConnectError(f"{host[:80]} cannot be looked up: {error}") from error
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if not self._private and not all(map(is_public, addresses)):
            raise PrivateAddress(f"{host} leads to an address that is not public")
        return addresses
