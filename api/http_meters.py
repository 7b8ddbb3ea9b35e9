"""Counts HTTP requests by route, and open streams: the ASGI layer that measures, and its Prometheus registry.

Where several processes serve, each writes its numbers into the folder `PROMETHEUS_MULTIPROC_DIR`, and
whichever is asked tells of all.
"""

from __future__ import annotations

import os
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
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

        self.streams = Gauge(
            "isthmus_stream_watchers",
            "Live streams that are open.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        """A context manager of its own: `streams.track_inprogress()`."""

    def exposed(self) -> bytes:
        """All of it in Prometheus's text format, of all processes that serve."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

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
