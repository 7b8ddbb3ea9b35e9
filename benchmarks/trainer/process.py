"""The benchmark's side: a contender as a process that is told when to make a step."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.trainer.roster import Contender
from benchmarks.trainer.turns import Turn
from ist_core.allocator import training_environment

ROOT = Path(__file__).parents[2]
_CONTENDERS = "benchmarks.trainer.contenders"


class ContenderFailed(RuntimeError):
    """A contender ended before it was told to."""


@dataclass
class Running:
    """A contender at work."""

    contender: Contender
    process: subprocess.Popen[str]
    log: Path
    turns: list[Turn] = field(default_factory=list)

    def go(self, batch: int) -> Turn:
        """Let it make one step, on the batch with this number."""
        self._write(f"go {batch}")
        turn = Turn(**self._answer())
        self.turns.append(turn)
        return turn

    def end(self) -> dict[str, Any]:
        """End it; returns its last answer."""
        self._write("end")
        last = self._answer()
        self.process.wait(60)
        return last

    def _write(self, line: str) -> None:
        if self.process.stdin is None:
            raise TypeError("the process has no standard input")
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def _answer(self) -> dict[str, Any]:
        if self.process.stdout is None:
            raise TypeError("the process has no standard output")
        line = self.process.stdout.readline()
        if not line:
            raise self._failed()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self) -> ContenderFailed:
        self.process.wait(60)
        lines = self.log.read_text(errors="replace").splitlines()
        return ContenderFailed(f"{self.contender.name}: {' '.join(lines[-1:])[-400:]}")


@contextmanager
def running(contender: Contender, workload: Path, folder: Path, python: Path) -> Iterator[Running]:
    """Start a contender and wait till its model is loaded; it is gone at the end, however that comes.

    Raises:
        ContenderFailed: with the last line it wrote.
    """
    log = folder / f"{contender.slug}.log"
    command: Sequence[str] = [
        # Not resolved: the link to an interpreter is what tells it of its environment.
        str(python.absolute()),
        "-m",
        f"{_CONTENDERS}.{contender.program}",
        str(workload),
        json.dumps(contender.keys),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "TOKENIZERS_PARALLELISM": "false"}
    if contender.program == "ours":
        environment |= training_environment()  # as the service starts it
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env=environment,
        )
        with process:
            found = Running(contender, process, log)
            try:
                found._answer()  # noqa: SLF001  # its own first line
                yield found
            finally:
                process.kill()
