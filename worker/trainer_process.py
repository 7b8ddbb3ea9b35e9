"""A trainer as a child process, in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from store.log import child_environment


class TrainerProcess:
    """`python -m worker.run JOB ATTEMPT`; its output goes to a log file.

    The pipe to its stdin is its tie to this process: when this process dies, however it dies, the kernel
    closes the pipe, and the trainer ends itself.
    """

    def __init__(self, job_id: str, attempt: int, log: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.run", job_id, str(attempt)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **child_environment()},
            )

    @property
    def pid(self) -> int:
        """The process id, which is the process group's too."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM: the trainer saves a checkpoint and ends."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group, also to children that outlived the trainer; returns when it is gone."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None  # noqa: S101  # for the type checker
        self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        # The group keeps its id while any member lives. When the trainer has been waited for and had no
        # children, there is nothing left to signal.
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
