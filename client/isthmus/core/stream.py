"""A job's stream: frames after a cursor, over as many connections as it takes; none lost, none twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.core.effects import Emit, Next, Operation, Sleep
from isthmus.core.request import Request
from isthmus.core.retries import RETRIED, SERVER_ERROR, Retries, open_answer
from isthmus.errors import APIError, ConnectionFailed, UnexpectedAnswer, api_error

SILENCE_SECONDS = 45.0
"""The service says something (if only a comment) more often; without a word, the connection is dead."""
AWAY_SECONDS = 300.0
"""So long a service may be away before whoever follows the stream is told."""
STATUS_OF_TYPE: Mapping[str, int] = {
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "server_error": 500,
}

Frame = dict[str, Any]


@dataclass(slots=True)
class Cursor:
    """Where a reader of the stream is: what it has seen, it is not shown again."""

    after: int = 0
    """The highest number among the log's lines and the steps that were shown."""
    frames: int = 0
    """How many came, shown or not: a service that sends some is there."""
    _job_seq: int = -1
    """The number up to which the job that was shown last tells."""
    _parts: list[Frame] = field(default_factory=list)

    def open(self) -> None:
        """A new connection is made: parts whose frame did not come any more will come again."""
        self._parts.clear()

    def take(self, frame: Frame) -> list[Frame]:
        """What of a frame is new to the reader, in order; moves the cursor behind it.

        A part (a checkpoint, an evaluation) has no number of its own: it is held back until the frame that it
        is a part of, since both come again if the connection breaks between them.
        """
        self.frames += 1
        if isinstance(part_of := frame.get("part_of"), int):
            if part_of > self.after:
                self._parts.append(frame)
            return []
        if frame["type"] == "job":
            return [frame] if self._is_newer(frame) else []
        seq = frame.get("seq")
        if not isinstance(seq, int):
            return [frame]
        if seq <= self.after:
            return []
        self.after = seq
        shown = [part for part in self._parts if part["part_of"] == seq]
        self._parts.clear()
        return [*shown, frame]

    def _is_newer(self, frame: Frame) -> bool:
        """Whether a job frame tells more than the last one: each connection begins with one."""
        seq = frame["data"].get("last_seq", self._job_seq + 1)
        newer = bool(seq > self._job_seq)
        self._job_seq = max(self._job_seq, seq)
        return newer


def follow(request: Request, retries: Retries, cursor: Cursor) -> Operation[None]:
    """Emit every new frame until the job's end, coming back after each break with the cursor.

    Raises APIError where the service refuses (no such job, no key: at once) and ConnectionFailed once it has
    been away for five minutes.
    """
    attempt, waited = 0, 0.0
    while True:
        after, frames = cursor.after, cursor.frames
        trouble: APIError | ConnectionFailed
        try:
            if (yield from _one_connection(request, cursor)):
                return
            trouble = ConnectionFailed(f"{request.path}: the stream broke off")
        except ConnectionFailed as error:
            trouble = error
        except APIError as error:
            if not _passes(error):
                raise
            trouble = error
        if cursor.frames > frames:
            waited = 0.0
        if cursor.after > after:
            attempt = 0
        if waited >= AWAY_SECONDS:
            raise trouble
        delay = _delay(retries, attempt, trouble)
        yield Sleep(delay)
        attempt, waited = attempt + 1, waited + delay


def _one_connection(request: Request, cursor: Cursor) -> Operation[bool]:
    """Emit what one connection tells; returns whether the job has ended."""
    asked = request.with_query(after=cursor.after)
    yield from open_answer(asked, Retries(most=0), events=True)
    cursor.open()
    while (text := (yield Next())) is not None:
        frame = _frame(text)
        match frame["type"]:
            case "end":
                return True
            case "error":
                raise refusal(frame)
            case _:
                for new in cursor.take(frame):
                    yield Emit(new)
    return False


def _frame(text: str) -> Frame:
    try:
        frame = json.loads(text)
    except ValueError as error:
        raise UnexpectedAnswer(f"the stream holds no JSON: {text[:200]}") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise UnexpectedAnswer(f"the stream holds no frame: {text[:200]}")
    return frame


def refusal(frame: Frame) -> APIError:
    """The exception for an error frame, which has no status of its own."""
    told = frame.get("error")
    error: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    missing = str(error.get("code")).endswith("_not_found")
    status = 404 if missing else STATUS_OF_TYPE.get(str(error.get("type")), 400)
    return api_error(status, frame, request_id=None, retry_after=None)


def _passes(error: APIError) -> bool:
    return error.status in RETRIED or error.status >= SERVER_ERROR


def _delay(retries: Retries, attempt: int, trouble: APIError | ConnectionFailed) -> float:
    told = trouble.retry_after if isinstance(trouble, APIError) else None
    return retries.backoff(attempt) if told is None else told
