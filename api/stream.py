"""Following one job: replay from PostgreSQL after a cursor, then look again at each ping."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import WebSocket
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from starlette.websockets import WebSocketDisconnect

from api.auth import unauthorized
from api.errors import bad_request, not_found
from api.job_view import view_job
from api.services import Services
from api.wire.jobs import JobObject, event_object
from api.wire.series import EndFrame, EventFrame, JobFrame, StepFrame, step_object
from store.jobs import find_job
from store.keys import Holder
from store.states import TERMINAL
from store.stream import StreamItem, read_stream
from store.tables import Event
from store.tenant import Tenant

PAGE = 500
POLL_SECONDS = 2.0
"""Without a ping for so long, look all the same: a ping may be lost, a row is not."""
SEND_SECONDS = 20.0
"""A reader that takes no frame for so long is cut off; it comes back with its cursor."""
SLOW_READER = 1013


@dataclass(frozen=True, slots=True)
class Page:
    """Some frames as JSON, the cursor after them, and whether all is sent of a job that has ended."""

    frames: list[str]
    cursor: int
    full: bool
    ended: bool


async def follow(socket: WebSocket, services: Services, holder: Holder, job_id: str, after: int) -> None:
    """Send the job's frames to an accepted socket until the job or the client ends.

    Raises ApiError for a job that the holder's project has not, for a cursor that the job has not reached,
    and as soon as the holder's key is dead.
    """
    sender = asyncio.create_task(_send_all(socket, services, holder, job_id, after))
    listener = asyncio.create_task(_until_gone(socket))
    try:
        await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
    finally:
        sender.cancel()
        listener.cancel()
        await asyncio.gather(sender, listener, return_exceptions=True)


async def _send_all(socket: WebSocket, services: Services, holder: Holder, job_id: str, after: int) -> None:
    # Watch before the first read, or what is written between the two would wait for the next ping.
    with services.live.watch(job_id) as pinged:
        try:
            await _send(socket, await run_in_threadpool(_first_frame, services, holder, job_id, after))
            cursor = after
            while True:
                pinged.clear()
                page = await run_in_threadpool(_read_page, services, holder, job_id, cursor)
                for frame in page.frames:
                    await _send(socket, frame)
                cursor = page.cursor
                if page.ended:
                    await _send(socket, _json(EndFrame()))
                    await socket.close(1000)
                    return
                if not page.full:
                    await _wait(pinged)
        except TimeoutError:
            await _close_slow(socket)
        except WebSocketDisconnect:
            return


async def _until_gone(socket: WebSocket) -> None:
    """Take what the client says, to learn that it has gone; the stream goes one way."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send(socket: WebSocket, frame: str) -> None:
    """Send a frame; waits while the socket's buffer is full. Raises TimeoutError."""
    async with asyncio.timeout(SEND_SECONDS):
        await socket.send_text(frame)


async def _wait(pinged: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await pinged.wait()
    except TimeoutError:
        return  # look anyway


async def _close_slow(socket: WebSocket) -> None:
    try:
        async with asyncio.timeout(1.0):
            await socket.close(SLOW_READER, "too slow; come back with your cursor")
    except TimeoutError:
        return  # the buffer is still full: the server's own keepalive drops the connection


def _first_frame(services: Services, holder: Holder, job_id: str, after: int) -> str:
    with services.database.session() as session:
        tenant = Tenant(session, holder.project_id)
        job = find_job(tenant, job_id) if job_id.isascii() and job_id.isprintable() else None
        if job is None:
            raise not_found("job", ascii(job_id)[1:-1], param="job_id")
        if after > job.last_seq:
            raise bad_request(
                f"after: {after} is beyond the job's last number, {job.last_seq}",
                param="after",
                code="unknown_cursor",
            )
        return _json(JobFrame(seq=after, data=view_job(session, job)))


def _read_page(services: Services, holder: Holder, job_id: str, cursor: int) -> Page:
    with services.database.session() as session:
        if not services.keys.is_alive(session, holder):
            raise unauthorized()
        tenant = Tenant(session, holder.project_id)
        # The job first: when it has ended by then, a page that is not full holds all there will ever be.
        job = find_job(tenant, job_id)
        if job is None:
            raise not_found("job", job_id, param="job_id")
        items = read_stream(tenant, job_id, cursor, PAGE)
        ended = job.state in TERMINAL
        if any(isinstance(item.row, Event) for item in items):
            job = find_job(tenant, job_id) or job
        shown = view_job(session, job) if any(isinstance(item.row, Event) for item in items) else None
        frames = [frame for item in items for frame in _frames(item, shown)]
    full = len(items) == PAGE
    return Page(
        frames=frames,
        cursor=items[-1].seq if items else cursor,
        full=full,
        ended=ended and not full,
    )


def _frames(item: StreamItem, job: JobObject | None) -> list[str]:
    """The frame of an item; an event tells of a change of the job, so the job follows it."""
    if not isinstance(item.row, Event):
        return [_json(StepFrame(seq=item.seq, data=step_object(item.row)))]
    event = _json(EventFrame(seq=item.seq, data=event_object(item.row)))
    return [event] if job is None else [event, _json(JobFrame(seq=item.seq, data=job))]


def _json(frame: BaseModel) -> str:
    return frame.model_dump_json()
