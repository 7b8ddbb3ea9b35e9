"""`/v1/fine_tuning/jobs/{id}/stream`: a job's history after a cursor, then what is new, to its end.

One stream over two transports: a WebSocket, and Server-Sent Events for a plain GET.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Query, Response, WebSocket
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect

from api.auth import Caller, admit, require_key
from api.errors import ApiError, not_found
from api.event_stream import EventStream
from api.feed import OVER
from api.http_meters import HttpMeters
from api.routes.dependencies import ERRORS, Identifier, OpenServices
from api.services import Services, services_of
from api.stream import explain, follow
from api.threads import in_thread
from api.wire.frames import ErrorFrame

MAX_CURSOR = 2**63 - 1
TRY_AGAIN = 1011
CLOSE_CODES = {400: 4400, 401: 4401, 403: 4403, 404: 4404}
ANSWERS: dict[int | str, dict[str, object]] = {
    **ERRORS,
    200: {
        "description": "One event a frame (StreamFrame): `event` is its type, `data` its JSON, `id` a cursor",
        "content": {"text/event-stream": {}},
    },
    204: {"description": "`Last-Event-ID: end`: the job has ended and all was sent"},
}

router = APIRouter()


@router.websocket("/fine_tuning/jobs/{job_id}/stream")
async def stream(socket: WebSocket, job_id: str) -> None:
    """Accept first, so that a browser sees why it is refused: an error frame and a close code."""
    await socket.accept()
    services = services_of(socket)
    try:
        caller = await in_thread(partial(_admit, socket, services, job_id), services.feeds.threads)
        after = _cursor(socket.query_params.get("after", "0"), param="after")
        with _meters(socket).streams.track_inprogress():
            async with services.feeds.watch(caller.holder, job_id, after) as watcher:
                await follow(socket, watcher)
    except Exception as error:
        await _refuse(socket, explain(error, job_id))


@router.get(
    "/fine_tuning/jobs/{job_id}/stream", response_class=Response, responses=ANSWERS, tags=["fine-tuning"]
)
async def stream_events(
    connection: HTTPConnection,
    job_id: Identifier,
    services: OpenServices,
    caller: Annotated[Caller, Depends(require_key)],
    after: Annotated[int, Query(ge=0, le=MAX_CURSOR, description="A cursor: what follows it is sent")] = 0,
    last_event_id: Annotated[
        str, Header(pattern=r"^(\d{1,19}|end)?$", description="As `after`, which it overrides")
    ] = "",
) -> Response:
    """Follow a job: the job as it is, its events and steps after the cursor, then what is new, to its end.

    The frames are those of the WebSocket at this address. Each event or step has an `id`, which an
    EventSource sends as `Last-Event-ID` when it comes back; a comment breaks a silence of 15 seconds.
    """
    if last_event_id == OVER:
        return Response(status_code=204)
    if last_event_id:
        after = _cursor(last_event_id, param="Last-Event-ID")
    return EventStream(
        services.feeds.watch(caller.holder, job_id, after), _meters(connection).streams.track_inprogress()
    )


async def _refuse(socket: WebSocket, error: ApiError) -> None:
    """Say why in a frame, then close; TRY_AGAIN is for what may pass, such as a database that is away."""
    try:
        await socket.send_text(ErrorFrame(error=error.body.error).model_dump_json())
        await socket.close(CLOSE_CODES.get(error.status_code, TRY_AGAIN))
    except WebSocketDisconnect:
        return  # gone meanwhile


def _admit(socket: WebSocket, services: Services, job_id: str) -> Caller:
    """Check the caller. A cookie counts from our own pages only, as for a change."""
    caller = admit(socket, services, needs="read", from_own_page=True)
    if not (job_id.isascii() and job_id.isprintable()):
        raise not_found("job", ascii(job_id)[1:-1], param="job_id")
    return caller


def _cursor(text: str, *, param: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_CURSOR):
        raise ApiError(
            400, f"{param}: must be a sequence number, 0 or greater", code="invalid_value", param=param
        )
    return int(text)


def _meters(connection: HTTPConnection) -> HttpMeters:
    return cast("HttpMeters", connection.app.state.meters)
