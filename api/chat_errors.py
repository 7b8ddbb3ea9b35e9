"""Why a chat request is not answered, in words for its sender."""

from __future__ import annotations

from api.errors import ApiError
from store.chat_orders import Refusal

SOON = "2"
FULL_SECONDS = "5"


def refused(reply: Refusal) -> ApiError:
    """What the inference process says; it is not our fault unless its status says so."""
    return ApiError(reply.status, reply.message, code=reply.code, param=reply.param)


def queue_full(limit: int) -> ApiError:
    """More requests wait than may."""
    return ApiError(
        429,
        f"{limit} chat requests wait already, which is the limit; try again in {FULL_SECONDS} s",
        code="queue_full",
        headers={"Retry-After": FULL_SECONDS},
    )


def no_process() -> ApiError:
    """Nobody is there to answer."""
    return ApiError(
        503,
        "No inference process is running; start one with `python -m worker.inference`, then try again",
        code="inference_unavailable",
        headers={"Retry-After": SOON},
    )


def lost() -> ApiError:
    """The process that answered has ended, or the queue has lost the request."""
    return ApiError(
        503,
        "The inference process ended in the middle of this request; send it again",
        code="inference_lost",
        headers={"Retry-After": SOON},
    )


def queue_away() -> ApiError:
    """Redis does not answer at the moment."""
    return ApiError(
        503,
        "The chat queue cannot be reached at the moment; try again soon",
        code="queue_unavailable",
        headers={"Retry-After": SOON},
    )


def too_late(seconds: float) -> ApiError:
    """The answer was not complete in time; the same request would hardly fare better."""
    return ApiError(
        504,
        f"The answer was not complete after {seconds:g} s; ask for fewer tokens, or try again later",
        code="request_timeout",
        headers={"x-should-retry": "false"},
    )


def stopping() -> ApiError:
    """The API ends."""
    return ApiError(
        503,
        "The server is being stopped; send the request again",
        code="server_stopping",
        headers={"Retry-After": SOON},
    )
