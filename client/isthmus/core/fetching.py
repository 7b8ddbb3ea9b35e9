"""Operations of one answer or of many pages: fetch this as that."""

from __future__ import annotations

from isthmus.core.effects import Emit, Operation
from isthmus.core.request import Request
from isthmus.core.retries import Retries, send
from isthmus.types.base import Item, Model, Page, parse


def fetch(request: Request, model: type[Model], retries: Retries, context: object = None) -> Operation[Model]:
    """An answer as a model. Raises APIError, ConnectionFailed, UnexpectedAnswer."""
    return parse((yield from send(request, retries)), model, context)


def fetch_bytes(request: Request, retries: Retries) -> Operation[bytes]:
    """An answer's bytes. Raises APIError, ConnectionFailed."""
    return (yield from send(request, retries)).body


def pages(
    request: Request, page_model: type[Page[Item]], retries: Retries, context: object = None
) -> Operation[None]:
    """Emit each page, the next one asked for with the id of the last item."""
    while True:
        page = yield from fetch(request, page_model, retries, context)
        yield Emit(page)
        if not page.has_more or not page.data:
            return
        request = request.with_query(after=page.data[-1].id)
