"""Isthmus: fine-tune models on your own machines.

The clients are imported when they are first asked for, so that `isthmus.dataset` needs neither httpx2 nor
pydantic: the service itself checks uploads with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.async_client import AsyncIsthmus as AsyncIsthmus
    from isthmus.async_export import AsyncExport as AsyncExport
    from isthmus.async_job import AsyncJob as AsyncJob
    from isthmus.errors import APIError as APIError
    from isthmus.errors import AuthenticationFailed as AuthenticationFailed
    from isthmus.errors import BadRequest as BadRequest
    from isthmus.errors import Conflict as Conflict
    from isthmus.errors import ConnectionFailed as ConnectionFailed
    from isthmus.errors import DownloadCorrupted as DownloadCorrupted
    from isthmus.errors import ExportUnsuccessful as ExportUnsuccessful
    from isthmus.errors import IsthmusError as IsthmusError
    from isthmus.errors import JobUnsuccessful as JobUnsuccessful
    from isthmus.errors import MissingExtra as MissingExtra
    from isthmus.errors import NotFound as NotFound
    from isthmus.errors import PermissionDenied as PermissionDenied
    from isthmus.errors import RateLimited as RateLimited
    from isthmus.errors import ServerError as ServerError
    from isthmus.errors import Timeout as Timeout
    from isthmus.errors import UnexpectedAnswer as UnexpectedAnswer
    from isthmus.errors import WaitTimedOut as WaitTimedOut
    from isthmus.sync_client import Isthmus as Isthmus
    from isthmus.sync_export import Export as Export
    from isthmus.sync_job import Job as Job
    from isthmus.types.stream import CheckpointUpdate as CheckpointUpdate
    from isthmus.types.stream import EvaluationUpdate as EvaluationUpdate
    from isthmus.types.stream import JobUpdate as JobUpdate
    from isthmus.types.stream import LogLine as LogLine
    from isthmus.types.stream import OtherUpdate as OtherUpdate
    from isthmus.types.stream import StepUpdate as StepUpdate

_ERRORS = (
    "APIError",
    "AuthenticationFailed",
    "BadRequest",
    "Conflict",
    "ConnectionFailed",
    "DownloadCorrupted",
    "ExportUnsuccessful",
    "IsthmusError",
    "JobUnsuccessful",
    "MissingExtra",
    "NotFound",
    "PermissionDenied",
    "RateLimited",
    "ServerError",
    "Timeout",
    "UnexpectedAnswer",
    "WaitTimedOut",
)
_UPDATES = ("CheckpointUpdate", "EvaluationUpdate", "JobUpdate", "LogLine", "OtherUpdate", "StepUpdate")
_HOMES = {
    "AsyncExport": "isthmus.async_export",
    "AsyncIsthmus": "isthmus.async_client",
    "AsyncJob": "isthmus.async_job",
    "Export": "isthmus.sync_export",
    "Isthmus": "isthmus.sync_client",
    "Job": "isthmus.sync_job",
    **dict.fromkeys(_ERRORS, "isthmus.errors"),
    **dict.fromkeys(_UPDATES, "isthmus.types.stream"),
}

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # or a type checker would take any name

    def __getattr__(name: str) -> Any:
        """Import a public name's module. Raises AttributeError."""
        if name not in _HOMES:
            raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
