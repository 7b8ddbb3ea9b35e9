"""The parts of a running stack that may be killed, and how."""

from __future__ import annotations

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable

import httpx
import psutil

from tests.e2e.service import Service, command_line, wait_until

PARTS: dict[str, Callable[[str], bool]] = {
    "trainer": lambda command: "-m worker.run " in command,
    "nursery": lambda command: command.endswith("-m worker.nursery"),
    "worker": lambda command: command.endswith("-m worker"),
    "redis": lambda command: "redis-server" in command or "valkey-server" in command,
    "api": lambda command: "-m api " in command,
}
"""By what their command lines show."""

WINDOW_SECONDS = 60.0
IN_WINDOW = 3
"""The stack gives up on a part that ends five times within a minute, as is right: that is not tested here."""


class Victims:
    """Draws parts and kills them."""

    def __init__(self, stack: Service, draw: random.Random) -> None:
        self._stack = stack
        self._draw = draw
        self._kills: defaultdict[str, deque[float]] = defaultdict(deque)

    def kill_one(self) -> str | None:
        """SIGKILL to one of the parts that run now, drawn evenly; returns its name. None: it was gone."""
        running = {
            part: process
            for process in self._stack.processes()
            for part, is_it in PARTS.items()
            if is_it(command_line(process)) and not self._often(part)
        }
        if not running:
            return None
        part = self._draw.choice(sorted(running))
        try:
            running[part].kill()
        except psutil.NoSuchProcess:
            return None  # it has just ended by itself
        self._kills[part].append(time.monotonic())
        return part

    def _often(self, part: str) -> bool:
        recent = [moment for moment in self._kills[part] if moment > time.monotonic() - WINDOW_SECONDS]
        return part in ("worker", "api") and len(recent) >= IN_WINDOW


def wait_until_answering(stack: Service) -> None:
    """Wait until the API answers and has its database and its Redis."""

    def answers() -> bool:
        try:
            return httpx.get(f"{stack.url}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    wait_until("the service answers again", answers)
