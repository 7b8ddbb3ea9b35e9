"""When to try again, and after how long: exponential, with jitter, and as the service says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from isthmus.core.effects import Answer, Open, Operation, Send, Sleep
from isthmus.core.request import Request
from isthmus.errors import APIError, ConnectionFailed, api_error

RETRIED = frozenset({408, 409, 429})
"""Beside 5xx. 409: the same idempotency key is at work elsewhere."""
SERVER_ERROR = 500
FIRST_DELAY = 0.5
MAX_DELAY = 8.0
MAX_RETRY_AFTER = 120.0
"""Told to wait longer than that, a call fails at once and says so (`retry_after`)."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call is tried again; `draw` gives numbers in [0, 1) for the jitter."""

    most: int = 2
    draw: Callable[[], float] = random.random

    def backoff(self, attempt: int) -> float:
        """Seconds after try `attempt` (from 0): half of it is drawn, so that clients spread out."""
        whole = min(FIRST_DELAY * 2.0 ** min(attempt, 30), MAX_DELAY)
        return whole * (0.5 + 0.5 * self.draw())

    def delay_after(self, attempt: int, outcome: Answer | ConnectionFailed) -> float | None:
        """Seconds until the next try; None: there is none."""
        if attempt >= self.most:
            return None
        if isinstance(outcome, ConnectionFailed):
            return self.backoff(attempt)
        if not is_passing(outcome):
            return None
        told = retry_after(outcome.headers)
        if told is None:
            return self.backoff(attempt)
        return None if told > MAX_RETRY_AFTER else told + 0.1 * self.backoff(attempt)


def is_passing(answer: Answer) -> bool:
    """Whether the same request may well succeed later; the service's own word (`x-should-retry`) counts."""
    match answer.headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
    return answer.status in RETRIED or answer.status >= SERVER_ERROR


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """`Retry-After` in seconds, whether it is a number or a date; None without a sensible one."""
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def send(request: Request, retries: Retries) -> Operation[Answer]:
    """Send until it is answered well. Raises APIError or ConnectionFailed."""
    return (yield from _persist(Send(request.repeatable()), retries))


def open_answer(request: Request, retries: Retries, *, events: bool = False) -> Operation[Answer]:
    """As `send`, but leaves the body to be read by `Next`."""
    return (yield from _persist(Open(request.repeatable(), events), retries))


def refused(answer: Answer) -> APIError:
    """The exception for an answer that is not ok."""
    return api_error(
        answer.status, answer.body, request_id=answer.request_id, retry_after=retry_after(answer.headers)
    )


def _persist(effect: Send | Open, retries: Retries) -> Operation[Answer]:
    attempt = 0
    while True:
        try:
            answer: Answer = yield effect
        except ConnectionFailed as error:
            delay = retries.delay_after(attempt, error)
            if delay is None:
                raise
        else:
            if answer.ok:
                return answer
            delay = retries.delay_after(attempt, answer)
            if delay is None:
                raise refused(answer)
        yield Sleep(delay)
        attempt += 1
