"""Whether a stream is connected, told by the requests that go out and the answers that come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

STREAM = "/stream"


@dataclass
class Connection:
    """Listens to an HTTP client: the SDK reconnects by itself, and a person wants to know."""

    lost: Callable[[], None]
    """Called when a first attempt to come back is made."""
    back: Callable[[float], None]
    """Called with the seconds since, when it has come to something."""
    _connected: bool = False
    _lost_at: float | None = None

    def listen(self, http: httpx2.Client) -> None:
        """Be told of a client's requests."""
        hooks = http.event_hooks
        http.event_hooks = {
            "request": [*hooks["request"], self._asks],
            "response": [*hooks["response"], self._is_answered],
        }

    def _asks(self, request: httpx2.Request) -> None:
        if not request.url.path.endswith(STREAM) or not self._connected:
            return
        self._connected = False
        self._lost_at = time.monotonic()
        self.lost()

    def _is_answered(self, response: httpx2.Response) -> None:
        if not response.request.url.path.endswith(STREAM) or not response.is_success:
            return
        self._connected = True
        if self._lost_at is not None:
            self.back(time.monotonic() - self._lost_at)
            self._lost_at = None
