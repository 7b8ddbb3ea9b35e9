"""The worker's side of the nursery: starts it, and has it fork trainers."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ist_core.allocator import training_environment
from ist_core.spec import JobSpec
from store.log import child_environment
from worker.child_process import ChildProcess, signal_group
from worker.nursery import Request

POLL_SECONDS = 0.01
LOST = -signal.SIGKILL
"""What is known of a trainer's end when the nursery that would tell of it is gone."""

logger = logging.getLogger(__name__)


def cold_trainer(job_id: str, attempt: int, log: Path) -> ChildProcess:
    """Start a trainer anew: it imports its libraries and loads its base model."""
    return ChildProcess("worker.run", [job_id, str(attempt)], log)


class WarmTrainers:
    """Starts trainers, forked from a warm process where there is one; for one job at a time.

    Args:
        log: what the nursery itself writes goes there.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._nursery: _Nursery | None = None

    def prepare(self) -> None:
        """Start a nursery, unless one is there: it imports its libraries beside whatever comes next."""
        if self._nursery is None or not self._nursery.alive():
            self.close()
            self._nursery = _Nursery(self._log)

    def start(self, job_id: str, attempt: int, log: Path, spec: JobSpec) -> TrainerProcess:
        """Start the trainer of an attempt."""
        self.prepare()
        assert self._nursery is not None  # noqa: S101  # for the type checker
        request = Request(job_id, attempt, spec.model, spec.precision, child_environment())
        try:
            return WarmTrainer(self._nursery, request, log)
        except OSError as error:
            logger.warning("the trainer of %s starts anew: the nursery is gone (%s)", job_id, error)
            self.close()
            return cold_trainer(job_id, attempt, log)

    def close(self) -> None:
        """End the nursery; a trainer that it has forked goes on."""
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery = None


class _Nursery:
    """The process `python -m worker.nursery` and the socket to it."""

    def __init__(self, log: Path) -> None:
        self.channel, theirs = socket.socketpair()
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.nursery"],
                stdin=theirs.fileno(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **training_environment()},
            )

    def alive(self) -> bool:
        """Whether it can be asked for a trainer."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self.channel.close()

    def told(self) -> dict[str, int] | None:
        """What it has to tell; None: nothing yet. Raises OSError when it is gone."""
        if not select.select([self.channel], [], [], 0)[0]:
            return None
        line = b""
        while not line.endswith(b"\n"):
            if not (part := self.channel.recv(1)):
                raise OSError("it has ended")
            line += part
        found: dict[str, int] = json.loads(line)
        return found


class WarmTrainer:
    """Forked by the nursery, which tells of its beginning and its end; used as a `ChildProcess` is."""

    def __init__(self, nursery: _Nursery, request: Request, log: Path) -> None:
        """Ask for it. Raises OSError when the nursery is gone."""
        self._nursery = nursery
        self._pid: int | None = None
        self._exit_code: int | None = None
        self._stop = False
        stdin, tie = os.pipe()
        self._tie: int | None = tie
        try:
            with log.open("wb") as output:
                socket.send_fds(nursery.channel, [request.line()], [stdin, output.fileno()])
        except OSError:
            os.close(tie)
            raise
        finally:
            os.close(stdin)

    def exit_code(self) -> int | None:
        """None while it runs, or has not begun; negative: the signal that ended it."""
        if self._exit_code is None:
            self._listen()
        return self._exit_code

    def ask_to_stop(self) -> None:
        """SIGTERM; one that has not begun is killed, for nothing is lost with it."""
        if self.exit_code() is None and self._pid is None:
            self._end_unborn()
        elif self._pid is not None and self._exit_code is None:
            signal_group(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group; returns when it is gone."""
        if self.exit_code() is None and self._pid is None:
            self._end_unborn()
        if self._pid is not None:
            signal_group(self._pid, signal.SIGKILL)
        while self.exit_code() is None:
            time.sleep(POLL_SECONDS)
        if self._tie is not None:
            os.close(self._tie)
            self._tie = None

    def _end_unborn(self) -> None:
        """The nursery is loading its model, which nothing else can break off."""
        self._nursery.kill()
        self._exit_code = LOST

    def _listen(self) -> None:
        try:
            while (told := self._nursery.told()) is not None:
                self._pid = told.get("pid", self._pid)
                self._exit_code = told.get("exit")
        except OSError:
            self._nursery.kill()
            if self._pid is not None:
                # Nobody tells of its end any more, so it is lost, as a trainer that somebody killed is.
                signal_group(self._pid, signal.SIGKILL)
            self._exit_code = LOST


TrainerProcess = ChildProcess | WarmTrainer
"""`python -m worker.run JOB ATTEMPT`, or a fork that is as good as one."""
