"""What a child's exit means: a fault of its own, a lack of memory, or somebody's signal."""

from __future__ import annotations

import enum
import re
import signal
from dataclasses import dataclass
from pathlib import Path

_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


class Cause(enum.Enum):
    """Why a child ended without a report."""

    MEMORY = "the system killed it for want of memory"
    KILLED = "somebody stopped it"
    CRASHED = "it crashed"


@dataclass(frozen=True, slots=True)
class Exit:
    """What became of a child, in words for the user that it worked for."""

    cause: Cause
    message: str


def read_exit(exit_code: int | None, *, memory_kills: int, what: str = "trainer") -> Exit:
    """Tell apart how a child ended that wrote no end of what it did.

    Args:
        memory_kills: how many processes the system killed for want of memory while it ran. SIGKILL alone
            says nothing: that is also what `kill -9` and service managers send.
        what: the word for it in messages.
    """
    if exit_code == -signal.SIGKILL and memory_kills > 0:
        return Exit(Cause.MEMORY, f"The system ran out of memory and killed the {what}")
    if exit_code == -signal.SIGKILL:
        return Exit(Cause.KILLED, f"The {what} was killed (SIGKILL), though not for want of memory")
    if exit_code in (0, -signal.SIGTERM):
        return Exit(Cause.KILLED, f"The {what} was told to stop, though not by its worker")
    if exit_code is not None and exit_code < 0:
        return Exit(Cause.CRASHED, f"The {what} was ended by signal {signal.Signals(-exit_code).name}")
    return Exit(Cause.CRASHED, f"The {what} ended with exit code {exit_code} and without a report")


class MemoryKills:
    """Counts the kernel's out-of-memory kills from its construction on: 0 where the system tells nothing."""

    def __init__(self, *, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> None:
        self._counter = next((path for path in _counters(proc, cgroups) if _read(path) is not None), None)
        self._before = self._now()

    def count(self) -> int:
        """How many there were."""
        return self._now() - self._before

    def _now(self) -> int:
        return (_read(self._counter) or 0) if self._counter else 0


def _counters(proc: Path, cgroups: Path) -> list[Path]:
    """Where kills are counted: for this process's own group first, at last for the whole machine."""
    found = []
    groups = proc / "self" / "cgroup"
    lines = groups.read_text().splitlines() if groups.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found.append(cgroups / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            # Inside a container the group's own folder is the root of the mount.
            found += [
                cgroups / "memory" / path.lstrip("/") / "memory.oom_control",
                cgroups / "memory" / "memory.oom_control",
            ]
    return [*found, proc / "vmstat"]


def _read(counter: Path) -> int | None:
    try:
        match = _KILLS.search(counter.read_text())
    except OSError:
        return None
    return int(match[1]) if match else None
