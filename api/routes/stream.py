"""`WS /v1/fine_tuning/jobs/{id}/stream`: a job's history after a cursor, then what is new, to its end."""

from __future__ import annotations

import logging

from fastapi import APIRouter, WebSocket
from fastapi.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from api.auth import Caller, admit
from api.errors import ApiError, as_api_error, internal_error
from api.services import Services, get_services
from api.stream import follow
from api.wire.series import ErrorFrame

MAX_CURSOR = 2**63 - 1
TRY_AGAIN = 1011
CLOSE_CODES = {400: 4400, 401: 4401, 403: 4403, 404: 4404}

logger = logging.getLogger(__name__)

router = APIRouter()


@router.websocket("/fine_tuning/jobs/{job_id}/stream")
async def stream(socket: WebSocket, job_id: str) -> None:
    """Accept first, so that a browser sees why it is refused: an error frame and a close code."""
    await socket.accept()
    services = get_services(socket)
    try:
        caller, after = await run_in_threadpool(_admit, socket, services)
        await follow(socket, services, caller.holder, job_id, after)
    except Exception as error:
        await _refuse(socket, job_id, error)


async def _refuse(socket: WebSocket, job_id: str, error: Exception) -> None:
    """Say why in a frame, then close; TRY_AGAIN is for what may pass, such as a database that is away."""
    known = as_api_error(error)
    if known is None:
        logger.error("the stream of job %r failed", job_id, exc_info=error)
        known = internal_error(f"job {job_id!a:.40}")
    try:
        await socket.send_text(ErrorFrame(error=known.body.error).model_dump_json())
        await socket.close(CLOSE_CODES.get(known.status_code, TRY_AGAIN))
    except WebSocketDisconnect:
        return  # gone meanwhile


def _admit(socket: WebSocket, services: Services) -> tuple[Caller, int]:
    """Check the caller and read the cursor. A cookie counts from our own pages only, as for a change."""
    caller = admit(socket, services, needs="read", from_own_page=True)
    text = socket.query_params.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= MAX_CURSOR):
        raise ApiError(
            400, "after: must be a sequence number, 0 or greater", code="invalid_value", param="after"
        )
    return caller, int(text)
