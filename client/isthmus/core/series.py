"""Series of any length: asked for in windows, unless the caller says how much."""

from __future__ import annotations

from typing import TypeVar

from isthmus.core.effects import Operation
from isthmus.core.fetching import fetch
from isthmus.core.request import Request
from isthmus.core.retries import Retries
from isthmus.types.series import Importance, Metrics

S = TypeVar("S", Metrics, Importance)

WINDOW = 10_000
"""Steps an answer; the service gives no more."""


def windows(request: Request, model: type[S], retries: Retries) -> Operation[S]:
    """A whole series, or as much of it as the request says. Raises as `fetch`."""
    if "limit" in request.query or "points" in request.query:
        return (yield from fetch(request, model, retries))
    whole = last = yield from fetch(request.with_query(limit=WINDOW), model, retries)
    while len(last.steps) >= WINDOW:
        rest = request.with_query(limit=WINDOW, after_step=last.steps[-1])
        last = yield from fetch(rest, model, retries)
        whole = whole.followed_by(last)
    return whole
