"""A module of this service as a child process, in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ist_core.allocator import training_environment
from store.log import child_environment


class ChildProcess:
    """`python -m MODULE ARGUMENTS`; its output goes to a log file.

    The pipe to its stdin is its tie to this process: when this process dies, however it dies, the kernel
    closes the pipe, and the child, which watches for that, ends itself.
    """

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **training_environment(), **child_environment()},
            )

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM, to the whole group."""
        signal_group(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group, also to children that outlived it; returns when it is gone."""
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None  # noqa: S101  # for the type checker
        self._process.stdin.close()


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group, unless nothing is left of it: it keeps its id while any member lives."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def end_with_parent() -> None:
    """End this process when its stdin closes: the parent is gone. For a thread of its own."""
    os.read(sys.stdin.fileno(), 1)  # returns at the end of the pipe; nothing is ever sent
    os._exit(1)
