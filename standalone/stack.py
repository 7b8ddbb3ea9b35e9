"""The whole service on one machine: servers and processes started in order, watched, stopped in reverse."""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from standalone.child import Child, Log
from standalone.errors import StackError
from standalone.interrupts import Interrupts
from standalone.ports import LOOPBACK, first_free
from standalone.postgres import embedded_postgres
from standalone.redis_server import embedded_redis
from standalone.watcher import Watcher

READY_SECONDS = 60.0
INFERENCE = "inference"
"""The process that nobody's training needs: should it keep ending, the others go on."""


@dataclass(frozen=True)
class Stack:
    """A running service."""

    url: str
    """Base address, without `/v1`."""
    api_key: str
    data_dir: Path
    env: dict[str, str]
    """The `ISTHMUS_*` variables that its processes run with."""
    watcher: Watcher
    """Its `check()` raises StackError when a process cannot be kept running."""

    @property
    def login_url(self) -> str:
        """The dashboard, signed in: a fragment never reaches a server's log."""
        return f"{self.url}/#token={self.api_key}"


@contextmanager
def running_stack(
    data_dir: Path, *, port: int, interrupts: Interrupts, log: Log, env: dict[str, str] | None = None
) -> Iterator[Stack]:
    """Start everything on `data_dir`; yields when the API answers; stops everything at the end.

    `env` adds or overrides `ISTHMUS_*` variables. Raises StackError for a folder that another stack uses.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as parts:
        parts.callback(interrupts.ignore)
        with interrupts.hold():
            parts.enter_context(_exclusive(data_dir))
            database_url = parts.enter_context(embedded_postgres(data_dir / "postgres"))
            redis_url = parts.enter_context(embedded_redis(data_dir / "redis"))
        settings = {
            "ISTHMUS_DATABASE_URL": database_url,
            "ISTHMUS_REDIS_URL": redis_url,
            "ISTHMUS_DATA_DIR": str(data_dir),
            "ISTHMUS_API_KEY": _api_key(data_dir / "api_key"),
            **(env or {}),
        }
        log("stack", "PostgreSQL and Redis are up; migrating")
        _run_to_end("migrate", [sys.executable, "-m", "migrations"], settings, log)
        api_port = first_free(port)
        watcher = Watcher(_commands(api_port), settings, log, spared={INFERENCE})
        parts.callback(watcher.stop)
        with interrupts.hold():
            watcher.start()
        stack = Stack(
            url=f"http://{LOOPBACK}:{api_port}",
            api_key=settings["ISTHMUS_API_KEY"],
            data_dir=data_dir,
            env=settings,
            watcher=watcher,
        )
        _wait_until_ready(stack, watcher)
        yield stack


def _commands(port: int) -> dict[str, list[str]]:
    """The service's processes, in the order they start."""
    python = sys.executable
    return {
        "api": [python, "-m", "api", "--host", LOOPBACK, "--port", str(port)],
        "worker": [python, "-m", "worker"],
        "scheduler": [python, "-m", "worker.scheduler"],
        INFERENCE: [python, "-m", "worker.inference"],
    }


def _wait_until_ready(stack: Stack, watcher: Watcher) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{stack.url}/health", timeout=2.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet: that is what is waited for
        watcher.check()
        time.sleep(0.1)
    raise StackError(
        f"the API did not answer within {READY_SECONDS:g} s; see {stack.data_dir / 'logs' / 'stack.log'}"
    )


def _run_to_end(name: str, command: list[str], env: dict[str, str], log: Log) -> None:
    child = Child(name, command, env=env, log=log)
    try:
        while (code := child.exit_code()) is None:
            time.sleep(0.05)
    finally:
        child.stop(5.0)
    if code:
        raise StackError(f"{name} failed with exit code {code}; its lines are in the log")


@contextmanager
def _exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel drops with the process."""
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"{data_dir} is in use by process {_holder(lock)}: stop it, or choose another --data-dir"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip() or "unknown"


def _api_key(path: Path) -> str:
    """The folder's API key, made once and readable by its owner only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"isthmus-{secrets.token_urlsafe(32)}")
    return path.read_text().strip()
