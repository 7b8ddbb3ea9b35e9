"""Peak memory of a run: CUDA's own count on a GPU, the process's resident set elsewhere."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import torch

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class PeakMemory:
    """Measures from its construction on, where the system can; `kind` says what it measures."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.kind = "CUDA bytes allocated, peak since the run began"
        elif _reset_resident_peak():
            self.kind = "resident set of the process, peak since the run began"
        else:
            self.kind = "resident set of the process, peak since the process began"

    def peak_bytes(self) -> int:
        """Return the peak so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if _STATUS.is_file() and (match := _HIGH_WATER.search(_STATUS.read_text())):
            return int(match[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _reset_resident_peak() -> bool:
    """Ask Linux to count the high-water mark anew; False where that is not allowed or not Linux."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True
