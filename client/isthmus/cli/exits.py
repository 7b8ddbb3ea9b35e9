"""Exit codes: what a script can tell from a command's end."""

from __future__ import annotations

from isthmus.errors import (
    AuthenticationFailed,
    BadRequest,
    Conflict,
    ConnectionFailed,
    IsthmusError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    UnexpectedAnswer,
)

OK = 0
FAILED = 1
"""The job failed or was cancelled, a file has faults, a download is damaged."""
USAGE = 2
"""The command line, the spec or the request is wrong as it stands."""
NOT_FOUND = 3
REFUSED = 4
"""No key, a wrong one, or one that may not do this."""
UNREACHABLE = 5
"""No answer, an answer that is not the service's, or a service that fails."""
NOT_NOW = 6
"""A quota is full, too many requests, or another request stands in the way: later it may succeed."""
INTERRUPTED = 130
"""Ctrl-C; of `jobs watch` and `jobs logs -f` too, whose job goes on."""

CLOSED_PIPE = 141
"""128 + SIGPIPE, as shells report it: whoever read the output has gone."""


class UsageFault(IsthmusError):
    """What was asked for cannot be meant: a spec that is no mapping, a file that is not there."""


class NoKey(IsthmusError):
    """There is no key to call the service with."""


OF_ERROR: tuple[tuple[type[IsthmusError], int], ...] = (
    (NotFound, NOT_FOUND),
    (AuthenticationFailed, REFUSED),
    (PermissionDenied, REFUSED),
    (NoKey, REFUSED),
    (RateLimited, NOT_NOW),
    (Conflict, NOT_NOW),
    (ServerError, UNREACHABLE),
    (ConnectionFailed, UNREACHABLE),
    (UnexpectedAnswer, UNREACHABLE),
    (BadRequest, USAGE),
    (UsageFault, USAGE),
)


def exit_code(error: IsthmusError) -> int:
    """The exit code for an error of the SDK or of the command line."""
    return next((code for kind, code in OF_ERROR if isinstance(error, kind)), FAILED)
