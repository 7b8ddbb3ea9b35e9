"""What a contender holds in memory while it trains, above the loaded base model."""

from __future__ import annotations

import contextlib
import re
import resource
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


class Peak:
    """The peak of a process: made before it has a model, `begin` when the model is loaded.

    It is what the process has taken since `begin`, less what it held before, less the base model's weights.
    """

    def __init__(self) -> None:
        self._before = _resident("VmRSS")
        self.base_bytes = 0

    def begin(self, base: torch.nn.Module) -> None:
        """Count from here on."""
        self.base_bytes = sum(weight.numel() * weight.element_size() for weight in base.parameters())
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak since the process began
            Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int:
        """The peak so far."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() - self.base_bytes
        return _resident("VmHWM") - self._before - self.base_bytes


def _resident(name: str) -> int:
    if not _STATUS.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
