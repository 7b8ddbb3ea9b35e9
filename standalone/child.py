"""Child processes of the stack: started in sessions of their own, logged line by line, stopped in order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

Log = Callable[[str, str], None]
"""Takes a process's name and one line of its output."""

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def prepare_child() -> None:
    """Runs in a child before exec: unblocks signals and, on Linux, ties the child's life to its parent's.

    The kernel sends SIGTERM when the parent dies (prctl(2)), so a stack that was killed with SIGKILL leaves
    no server behind. The signal is tied to the thread that forked: that thread must live as long as the
    stack.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A named process whose output goes, line by line, to `log(name, line)`.

    It has a session of its own, so that Ctrl-C in the terminal reaches only the parent, which then stops its
    children in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Log,
    ) -> None:
        self.name = name
        self._log = log
        self._process = subprocess.Popen(
            list(command),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare_child,
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None  # noqa: S101  # for the type checker
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._log(self.name, line.rstrip("\n"))

    @property
    def pid(self) -> int:
        """The process id (also its process group's)."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """The exit code, or None while the process runs; negative for a signal."""
        return self._process.poll()

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL to the whole group after `grace_seconds`; returns when it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=grace_seconds)
            except subprocess.TimeoutExpired:
                self._log(self.name, f"did not stop within {grace_seconds:g} s; killing it")
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reader.join(timeout=5)
