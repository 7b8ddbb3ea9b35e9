"""Memory of a run: its peak (CUDA's own count on a GPU, the resident set elsewhere), and what to lower."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from ist_core.errors import MemoryExhausted
from ist_core.spec import JobSpec

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_ANONYMOUS = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


class PeakMemory:
    """Measures from its construction on, where the system can; `kind` says what it measures.

    Args:
        forked: the process has just been forked. Its libraries then seem to become resident with their first
            use, though it was its parent that loaded them.
    """

    def __init__(self, device: torch.device, *, forked: bool = False) -> None:
        self._device = device
        self._resident = resident_bytes()
        self._anonymous = anonymous_bytes() if forked and _STATUS.is_file() else None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.kind = "CUDA bytes allocated, peak since the run began"
        elif _reset_resident_peak():
            self.kind = "resident set of the process, peak since the run began"
        else:
            self.kind = "resident set of the process, peak since the process began"

    @property
    def baseline_bytes(self) -> int:
        """What the process held already; CUDA counts the run's tensors alone."""
        if self._device.type == "cuda":
            return 0
        return self._resident if self._anonymous is None else self._anonymous + _library_bytes()

    def count_from(self, anonymous: int) -> None:
        """Count as the run's what a forked process held beyond this already when the run began."""
        self._anonymous = anonymous

    def peak_bytes(self) -> int:
        """Return the peak so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _status(_HIGH_WATER)


def resident_bytes() -> int:
    """Return what the process holds now; where the system does not tell, its peak."""
    return _status(_RESIDENT)


def anonymous_bytes() -> int:
    """Return what the process holds now that is no file's."""
    return _status(_ANONYMOUS)


def _library_bytes() -> int:
    """Return what is resident of the files that are mapped, but for weights."""
    maps = psutil.Process().memory_maps(grouped=True)
    return sum(
        mapped.rss - mapped.anonymous
        for mapped in maps
        if mapped.path.startswith("/") and not mapped.path.endswith(".safetensors")
    )


def _status(line: re.Pattern[str]) -> int:
    """Return one of the sizes that Linux tells of the process, in bytes; elsewhere its peak."""
    if _STATUS.is_file() and (match := line.search(_STATUS.read_text())):
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


@contextmanager
def memory_advice(spec: JobSpec, relief: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Turn every way of running out of memory into `MemoryExhausted`, with what to change.

    Args:
        relief: asked for it then; None: the simplest that may help.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        advice = relief() or _smaller(spec)
        raise MemoryExhausted(f"the device ran out of memory; {advice}", param="micro_batch_size") from error


def is_lack_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the device or of the process."""
    # torch's CPU allocator raises a bare RuntimeError.
    cpu = "can't allocate memory" in str(error) or "not enough memory" in str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or cpu


def _smaller(spec: JobSpec) -> str:
    size = spec.micro_batch_size or spec.batch_size
    return f"set micro_batch_size to {size // 2}" if size > 1 else f"lower max_length ({spec.max_length})"
