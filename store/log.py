"""Log lines of every process, as text or as JSON, each with the ids of its request and its job."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Literal

Id = str | None | Callable[[], str | None]
"""An id, or what knows it later: a request's job is found when the request has been routed."""

VARIABLES = MappingProxyType({"request_id": "ISTHMUS_LOG_REQUEST_ID", "job_id": "ISTHMUS_LOG_JOB_ID"})
"""By these a process passes its ids on to a child that works for the same request and job."""
# An id may come from a request's path: what does not look like one is not written into a log.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_ids: ContextVar[Mapping[str, Id]] = ContextVar("ids", default=MappingProxyType({}))
# Threads begin with an empty context, so what the whole process works for is not in one.
_of_process: dict[str, Id] = {}


@contextmanager
def log_context(**ids: Id) -> Iterator[None]:
    """Within the block every line of this thread or task has these ids: `request_id`, `job_id`."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


def current_ids() -> dict[str, str]:
    """The ids that a line written now would have."""
    found = {
        name: value() if callable(value) else value for name, value in {**_of_process, **_ids.get()}.items()
    }
    return {name: value for name, value in found.items() if value is not None and _ID.fullmatch(value)}


def child_environment() -> dict[str, str]:
    """The environment variables that pass the current ids on to a child process."""
    ids = current_ids()
    return {variable: ids[name] for name, variable in VARIABLES.items() if name in ids}


def configure_logging(process: str, log_format: Literal["text", "json"], level: str = "INFO") -> None:
    """Write all that this process logs to stderr, its uncaught errors and warnings too."""
    _of_process.update({name: os.environ.get(variable) for name, variable in VARIABLES.items()})
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(process) if log_format == "json" else TextLines(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("httpx2", "httpcore2", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, process, message; where known request_id, job_id, exception."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
            **current_ids(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextLines(logging.Formatter):
    """For people: `time LEVEL process logger [ids]: message`."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process} %(name)s%(ids)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """A message; what follows its first line is indented, so that none can look like another's."""
        ids = " ".join(current_ids().values())
        record.ids = f" [{ids}]" if ids else ""
        return super().format(record).replace("\r", "\\r").replace("\n", "\n    ")


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("uncaught").critical("the process ends by an error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value
    if error is not None:
        logging.getLogger("uncaught").critical("a thread ended by an error", exc_info=error)
