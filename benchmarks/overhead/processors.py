"""How long the machine's processors were busy between two moments."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import numpy as np
import psutil

SAMPLE_SECONDS = 1.0


class Processors:
    """Looks once a second while it is entered."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._times: list[float] = []
        self._busy: list[float] = []
        self._thread = threading.Thread(target=self._run, name="processors", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take a last look, and end."""
        self._done.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> float:
        """Processor seconds from one moment (Unix seconds) to another, once this is no longer entered."""
        first, last = np.interp([begin, end], self._times, self._busy)
        return float(last - first)

    def _run(self) -> None:
        self._look()
        while not self._done.wait(SAMPLE_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        found = psutil.cpu_times()
        self._times.append(time.time())
        self._busy.append(found.user + found.nice + found.system)
