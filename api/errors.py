"""Every error that a client sees, in OpenAI's shape: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

import errno
import http
import logging
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.validation import read_validation_error
from api.wire.common import ErrorBody, ErrorDetail
from ist_core.errors import DatasetError, EngineError
from store.database import DATABASE_AWAY
from store.objects import ObjectsAway
from store.paging import UnknownCursor
from store.quotas import QuotaExceeded

logger = logging.getLogger(__name__)

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
STORAGE_FULL = (errno.ENOSPC, errno.EDQUOT)
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class ApiError(HTTPException):
    """An answer of 400 and above. `param` is the field at fault, `code` is stable."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.param = param

    @property
    def body(self) -> ErrorBody:
        """The error as the wire has it."""
        return ErrorBody(
            error=ErrorDetail(
                message=self.detail, type=_type(self.status_code), param=self.param, code=self.code
            )
        )

    def response(self) -> JSONResponse:
        """The error as an answer."""
        return JSONResponse(self.body.model_dump(), self.status_code, self.headers)


def bad_request(message: str, *, param: str | None, code: str = "invalid_request") -> ApiError:
    """A request that cannot be done as it is: 400, because the SDK retries 409."""
    return ApiError(400, message, code=code, param=param)


def not_found(kind: str, identifier: str, *, param: str) -> ApiError:
    """No such object."""
    return ApiError(
        404, f"No such {kind}: {identifier}", code=f"{kind.replace(' ', '_')}_not_found", param=param
    )


def unauthorized() -> ApiError:
    """No key, or one that is wrong, revoked or expired."""
    return ApiError(
        401,
        "Send an API key that is alive as `Authorization: Bearer KEY`, or sign in on the dashboard",
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def quota_exceeded(error: QuotaExceeded) -> ApiError:
    """No room in the project: 429, as OpenAI's `insufficient_quota`, told not to be retried by the SDK."""
    return ApiError(429, str(error), code="quota_exceeded", headers={"x-should-retry": "false"})


def internal_error(request_id: str) -> ApiError:
    """Something that is our fault; the log has the rest under the request's id."""
    return ApiError(
        500,
        f"The server failed on this request; its log has the cause under {request_id}",
        code="internal_error",
    )


def database_away() -> ApiError:
    """PostgreSQL does not answer at the moment."""
    return ApiError(
        503,
        "The database cannot be reached at the moment; try again soon",
        code="database_unavailable",
        headers={"Retry-After": "2"},
    )


def storage_away() -> ApiError:
    """Object storage does not answer at the moment."""
    return ApiError(
        503,
        "Object storage cannot be reached at the moment; try again soon",
        code="storage_unavailable",
        headers={"Retry-After": "2"},
    )


def storage_full() -> ApiError:
    """No room on a disk of the server; a client that sends it all again at once only makes it worse."""
    return ApiError(
        507,
        "The server's disk is full, and nothing of this was kept; free some space there, then try again",
        code="storage_full",
        headers={"x-should-retry": "false"},
    )


def as_api_error(error: Exception) -> ApiError | None:
    """The answer to an error that is no surprise; None for the others."""
    match error:
        case ApiError():
            return error
        case HTTPException():
            return _of_http(error)
        case DatasetError():
            return bad_request(_dataset_message(error), param=error.param, code=error.code)
        case EngineError():
            return bad_request(error.message, param=error.param, code=error.code)
        case QuotaExceeded():
            return quota_exceeded(error)
        case ObjectsAway():
            logger.warning("object storage is away: %s", error)
            return storage_away()
        case OSError() if error.errno in STORAGE_FULL:
            logger.warning("the disk is full: %s", error)
            return storage_full()
        case UnknownCursor():
            return bad_request(str(error), param="after", code="unknown_cursor")
        case _ if isinstance(error, DATABASE_AWAY):
            logger.warning("the database is away: %s", error)
            return database_away()
        case _:
            return None


def install(app: FastAPI) -> None:
    """Answer every known error in the one shape; unknown ones reach the middleware."""
    for known in (HTTPException, EngineError, QuotaExceeded, UnknownCursor, ObjectsAway, *DATABASE_AWAY):
        app.add_exception_handler(known, _answer)
    app.add_exception_handler(RequestValidationError, _answer_validation)


def _answer(request: Request, error: Exception) -> JSONResponse:
    known = as_api_error(error)
    if known is None:
        raise error
    answer = known.response()
    if known.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route on the path only.
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request) -> list[str]:
    """The methods that some route takes on the request's path."""
    routes = cast("FastAPI", request.app).routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    problem = read_validation_error(cast("RequestValidationError", error), request)
    if problem.wrong_type:
        return ApiError(
            415, "Send the body as JSON, with Content-Type: application/json", code="unsupported_media_type"
        ).response()
    return bad_request(problem.message, param=problem.param, code=problem.code).response()


def _of_http(error: HTTPException) -> ApiError:
    """The framework's own refusals: unknown routes, wrong methods, broken forms."""
    messages = {404: "No such route", 405: "This route does not take this method"}
    message = messages.get(error.status_code, error.detail)
    code = CODES.get(error.status_code, "invalid_request")
    return ApiError(error.status_code, message, code=code, headers=dict(error.headers or {}))


def _dataset_message(error: DatasetError) -> str:
    """Every problem on a line of its own, capped, with the total."""
    lines = [str(problem) for problem in error.problems]
    if error.total > len(lines):
        lines.append(f"... and {error.total - len(lines)} more")
    noun = "problem" if error.total == 1 else "problems"
    return "\n".join([f"The file cannot be used, it has {error.total} {noun}:", *lines])


def _type(status: int) -> str:
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return TYPES.get(status, "invalid_request_error")
