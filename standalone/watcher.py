"""Keeps the service's processes running: starts them, starts them again when they end, stops them."""

import threading
import time
from collections import deque
from collections.abc import Collection

from standalone.child import Child, Log
from standalone.errors import StackError

RESTART_SECONDS = 1.0
STOP_SECONDS = 15.0
# A process that ends so often within so long will not get better by another start.
GIVE_UP_STARTS = 5
GIVE_UP_SECONDS = 60.0


class Watcher:
    """Runs `commands` (name -> argv) from a thread of its own, which stays their parent (prctl(2)).

    One that keeps ending fails the stack, unless it is among `spared`: that is tried again after a while.
    """

    def __init__(
        self,
        commands: dict[str, list[str]],
        env: dict[str, str],
        log: Log,
        *,
        spared: Collection[str] = (),
    ) -> None:
        self._commands = commands
        self._spared = spared
        self._env = env
        self._log = log
        self._children: dict[str, Child] = {}
        self._starts: dict[str, deque[float]] = {name: deque(maxlen=GIVE_UP_STARTS) for name in commands}
        self._started = threading.Event()
        self._stopping = threading.Event()
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="stack-watcher")

    def start(self) -> None:
        """Start every process; returns when all have been forked."""
        self._thread.start()
        self._started.wait()

    def check(self) -> None:
        """Raise StackError when a process keeps ending."""
        if self._failed is not None:
            raise StackError(self._failed)

    def stop(self) -> None:
        """Stop every process, last started first; returns when all are gone."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def pids(self) -> dict[str, int]:
        """The process ids now, by name."""
        return {name: child.pid for name, child in self._children.items()}

    def _run(self) -> None:
        try:
            for name in self._commands:
                self._spawn(name)
            self._started.set()
            while not self._stopping.wait(RESTART_SECONDS):
                for name, child in list(self._children.items()):
                    if child.exit_code() is not None:
                        self._restart(name, child)
        finally:
            self._started.set()
            for child in reversed(self._children.values()):
                child.stop(STOP_SECONDS)

    def _spawn(self, name: str) -> None:
        self._starts[name].append(time.monotonic())
        self._children[name] = Child(name, self._commands[name], env=self._env, log=self._log)

    def _restart(self, name: str, child: Child) -> None:
        starts = self._starts[name]
        if len(starts) == GIVE_UP_STARTS and time.monotonic() - starts[0] < GIVE_UP_SECONDS:
            if name not in self._spared:
                self._failed = (
                    f"{name} ended {GIVE_UP_STARTS} times within {GIVE_UP_SECONDS:g} s; see the log"
                )
            return
        self._log(name, f"ended with exit code {child.exit_code()}; starting it again")
        child.stop(0)
        self._spawn(name)
