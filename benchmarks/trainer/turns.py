"""A contender's side of the conversation with the benchmark: it makes a step when it is told to.

The benchmark writes a line to a contender's standard input for each step that it may make, and reads a line
of JSON of what that took. So two contenders take turns on one machine, and what else runs there hits both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import TextIO

import torch

from benchmarks.trainer.resident import Peak


@dataclass(frozen=True, slots=True)
class Turn:
    """What one optimizer step took."""

    seconds: float
    cpu_seconds: float
    examples: int
    tokens: int
    """Without padding."""
    loss: float
    probe_seconds: float = 0.0
    """Of it, on importance scores."""


class Turns:
    """Answers the benchmark; made before the model is loaded.

    Memory is counted from then on: what the process has taken at its peak while it trained, less what it held
    before it had a model, less the base model's weights.
    """

    def __init__(self) -> None:
        # Libraries print, too; the conversation goes by the real output and they go to stderr.
        self._answers: TextIO = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._peak = Peak()

    def ready(self, base: torch.nn.Module) -> None:
        """Say that the first step may come, once the model is loaded; count the peak from here on."""
        self._peak.begin(base)
        self._tell({"ready": True, "base_bytes": self._peak.base_bytes})

    def wait(self) -> int | None:
        """Wait for the next turn; returns which batch it is about, None: there is no turn any more."""
        word, _, number = sys.stdin.readline().strip().partition(" ")
        if word != "go":
            return None
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return int(number)

    def done(self, *, examples: int, tokens: int, loss: float, probe_seconds: float = 0.0) -> None:
        """Tell what the step since `wait` took."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self._tell(asdict(Turn(wall, cpu, examples, tokens, loss, probe_seconds)))

    def end(self, **more: object) -> None:
        """Tell the peak."""
        self._tell({"peak_bytes": self._peak.bytes(), **more})

    def _tell(self, answer: dict[str, object]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
