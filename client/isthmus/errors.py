"""What can go wrong, as exceptions.

IsthmusError
├── ConnectionFailed        no whole answer came back
│   └── Timeout             none came in time
├── APIError                the service refused: status, code, param, request_id
│   ├── BadRequest          400, and every other refusal of 4xx
│   ├── AuthenticationFailed  401
│   ├── PermissionDenied    403
│   ├── NotFound            404
│   ├── Conflict            409
│   ├── RateLimited         429; retry_after says when
│   └── ServerError         500 and above
├── UnexpectedAnswer        an answer of another shape than the service's
├── DownloadCorrupted       bytes that do not have the hash they should
├── WaitTimedOut            the job or export has not ended yet
├── JobUnsuccessful         the job failed or was cancelled, and the caller wanted a success
├── ExportUnsuccessful      the same of an export
└── MissingExtra            an optional package is not installed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class IsthmusError(Exception):
    """Every error of this package."""


class ConnectionFailed(IsthmusError):
    """The service could not be reached, or broke off; the message has the cause."""


class Timeout(ConnectionFailed, TimeoutError):
    """No answer came in time."""


class UnexpectedAnswer(IsthmusError):
    """An answer that is not the service's: is the address right?"""


class DownloadCorrupted(IsthmusError):
    """A file that does not have the hash that the service told."""


class WaitTimedOut(IsthmusError, TimeoutError):
    """The job or export has not ended within the time; it goes on."""


class JobUnsuccessful(IsthmusError):
    """The job failed or was cancelled."""

    def __init__(self, message: str, *, job_id: str, state: str, code: str | None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.state = state
        self.code = code


class ExportUnsuccessful(IsthmusError):
    """The export failed or was cancelled."""

    def __init__(self, message: str, *, export_id: str, status: str, code: str | None) -> None:
        super().__init__(message)
        self.export_id = export_id
        self.status = status
        self.code = code


class MissingExtra(IsthmusError, ImportError):
    """An optional package is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The service's own words about what it refused; None where it has none."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None


class APIError(IsthmusError):
    """The service refused a request. `code` is stable, `param` names the field at fault."""

    def __init__(
        self, refusal: Refusal, *, status: int, request_id: str | None, retry_after: float | None = None
    ) -> None:
        super().__init__(refusal.message)
        self.message = refusal.message
        self.type = refusal.type
        self.param = refusal.param
        self.code = refusal.code
        self.status = status
        self.request_id = request_id
        """The answer's `x-request-id`: the service's log has it, too."""
        self.retry_after = retry_after
        """Seconds, if the service said so."""

    def __str__(self) -> str:
        """The message, with what a person would look for: status, code and the request's id."""
        known = [f"HTTP {self.status}", self.code, self.request_id and f"request {self.request_id}"]
        return f"{self.message} ({', '.join(part for part in known if part)})"


class BadRequest(APIError):
    """The request cannot be done as it is."""


class AuthenticationFailed(APIError):
    """No API key, or one that is wrong, revoked or expired."""


class PermissionDenied(APIError):
    """The key lacks the scope that this needs."""


class NotFound(APIError):
    """There is no such object in the key's project."""


class Conflict(APIError):
    """Another request stands in the way."""


class RateLimited(APIError):
    """Too many requests (`retry_after` says when to come back), or a quota is full (`code`)."""


class ServerError(APIError):
    """The service failed, or a part of it is away."""


OF_STATUS: Mapping[int, type[APIError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}
SERVER_ERROR = 500


def api_error(
    status: int, body: bytes | Mapping[str, Any], *, request_id: str | None, retry_after: float | None
) -> APIError:
    """The exception for an answer of 400 and above, whatever its body."""
    kind = OF_STATUS.get(status, ServerError if status >= SERVER_ERROR else BadRequest)
    return kind(_refusal(status, body), status=status, request_id=request_id, retry_after=retry_after)


def _refusal(status: int, body: bytes | Mapping[str, Any]) -> Refusal:
    told: Any = body
    if isinstance(body, bytes):
        try:
            told = json.loads(body)
        except ValueError:
            text = body[:200].decode(errors="replace").strip()
            return Refusal(text or f"The service answered with status {status}")
    error = told.get("error") if isinstance(told, Mapping) else None
    if not isinstance(error, Mapping):
        return Refusal(f"The service answered with status {status}: {json.dumps(told)[:200]}")
    return Refusal(
        str(error.get("message")),
        type=_text(error.get("type")),
        param=_text(error.get("param")),
        code=_text(error.get("code")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
