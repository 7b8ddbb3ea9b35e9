"""Counts the process's HTTP requests by route: the ASGI layer that measures, and its Prometheus registry."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
UNROUTED = "none"
"""The dashboard's files, and addresses that no route has: their paths are the clients' to choose."""


class HttpMeters:
    """Requests and their time, by the template of their route: a process has few of those."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "isthmus_http_requests",
            "HTTP requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "isthmus_http_request_seconds",
            "Seconds from a request's first byte to its answer's last one.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that is over."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = route_template(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


class HttpMeasurement:
    """The layer around all others; it sees the status that a client sees."""

    def __init__(self, app: ASGIApp, *, meters: HttpMeters) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure one request; WebSockets and the lifespan pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 499  # as nginx has it: the client went away before there was an answer
        began = time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            self.meters.count(scope, status, time.perf_counter() - began)


def route_template(scope: Scope) -> str:
    """`/v1/files/{file_id}` of a request that has been routed.

    A route knows its template without the prefix that it was included with; the path has the prefix.
    """
    route = scope.get("route")
    if not isinstance(route, Route):
        return UNROUTED
    filled = route.path_format.format(**scope["path_params"])
    prefix = scope["path"].removesuffix(filled)
    return f"{prefix}{route.path_format}" if scope["path"].endswith(filled) else route.path_format
