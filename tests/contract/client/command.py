"""Runs `isthmus`: in this process, or as people start it, with or without a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from isthmus.cli.app import app
from typer.testing import CliRunner, Result

from tests.contract.conftest import Service

WAIT_SECONDS = 60.0
ISTHMUS = (sys.executable, "-m", "isthmus.cli")
NOTHING: Mapping[str, str] = MappingProxyType({})


def environment(service: Service, extra: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The variables that a command finds the service by."""
    return {
        **os.environ,
        "ISTHMUS_BASE_URL": service.url,
        "ISTHMUS_API_KEY": service.key,
        "PYTHONIOENCODING": "utf-8",
        **extra,
    }


def isthmus(service: Service, *args: str) -> Result:
    """Run a command line to its end, in this process."""
    variables = {"ISTHMUS_BASE_URL": service.url, "ISTHMUS_API_KEY": service.key}
    return CliRunner().invoke(app, args, env=variables, catch_exceptions=False)


def document(service: Service, *args: str) -> Any:
    """A command's JSON; fails unless it ended well."""
    ended = isthmus(service, *args, "--json")
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout)


class Running:
    """A command that has not ended, and what it has written so far."""

    def __init__(self, child: subprocess.Popen[bytes], read: Callable[[], bytes]) -> None:
        self.child = child
        self._read = read
        self._written = b""
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All of it, without colours and movements of the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)

    @property
    def raw(self) -> str:
        """All of it."""
        return self._written.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Until it has written that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.text:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.text}"
            assert self.child.poll() is None or self._reader.is_alive(), f"no {text!r} in:\n{self.text}"
            time.sleep(0.02)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.child.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Its exit code, once it has one."""
        code = self.child.wait(timeout=WAIT_SECONDS)
        self._reader.join(timeout=WAIT_SECONDS)
        return code

    def _collect(self) -> None:
        while chunk := self._read():
            self._written += chunk


@contextmanager
def started(service: Service, *args: str, extra: Mapping[str, str] = NOTHING) -> Iterator[Running]:
    """A command without a terminal; stdout and stderr are one."""
    child = subprocess.Popen(
        [*ISTHMUS, *args], env=environment(service, extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert child.stdout is not None
    output = child.stdout.fileno()
    with child.stdout, _killed(child):
        yield Running(child, lambda: os.read(output, 65536))


@contextmanager
def on_a_terminal(
    service: Service, *args: str, columns: int = 80, extra: Mapping[str, str] = NOTHING
) -> Iterator[Running]:
    """A command on a terminal of its own."""
    controller, terminal = pty.openpty()
    variables = {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color", **extra}
    child = subprocess.Popen(
        [*ISTHMUS, *args],
        env=environment(service, variables),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)

    def read() -> bytes:
        try:
            return os.read(controller, 65536)
        except OSError:  # the terminal's other end is closed
            return b""

    with _killed(child):
        running = Running(child, read)
        yield running
    os.close(controller)


@contextmanager
def _killed(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        child.kill()
        child.wait()
