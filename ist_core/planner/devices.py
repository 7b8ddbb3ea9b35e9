"""The devices that a plan can be made for: their memory, number formats and speed.

Memory is what the device offers to programs (`nvidia-smi`), speed what its data sheet says of dense matrix
products. A run gets a share of that speed: the range is in `ist_core/planner/throughput.py`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ist_core import processor
from ist_core.errors import UnknownDevice

_MIB = 2**20
_TERA = 1e12
_CORE_FLOPS = 50e9
_BFLOAT16_SPEEDUP = 1.8
"""Of whole steps on a processor that multiplies in bfloat16: docs/performance.md."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CPU_THREADS = re.compile(r"cpu \((\d+) threads?\)")


@dataclass(frozen=True, slots=True)
class Device:
    """Where a job would run."""

    name: str
    kind: Literal["cpu", "cuda"]
    memory_bytes: int
    bfloat16: bool
    """Whether `precision: auto` takes bfloat16."""
    flops: float
    """A second, in float32: of a GPU by its data sheet; of a CPU by its cores."""
    bfloat16_flops: float
    cores: int = 0

    def width(self, precision: Literal["auto", "float32", "bfloat16"]) -> int:
        """Bytes of one element of the base model under a spec's `precision`."""
        wide = precision == "float32" or (precision == "auto" and not self.bfloat16)
        return 4 if wide else 2

    def rate(self, precision: Literal["auto", "float32", "bfloat16"]) -> float:
        """Operations a second with the base model in that format, all of the device taken."""
        return self.flops if self.width(precision) == 4 else self.bfloat16_flops

    def with_memory(self, memory_bytes: int) -> Device:
        """The same device with another amount of memory."""
        return replace(self, memory_bytes=memory_bytes)


def cpu(*, cores: int | None = None, memory_bytes: int | None = None, bfloat16: bool | None = None) -> Device:
    """A CPU; what is not given is this machine's.

    Args:
        bfloat16: whether it multiplies in it.
    """
    cores = cores or os.cpu_count() or 1
    memory = machine_memory() if memory_bytes is None else memory_bytes
    fast = processor.has_bfloat16() if bfloat16 is None else bfloat16
    flops = cores * _CORE_FLOPS
    return Device(
        "cpu",
        "cpu",
        memory,
        bfloat16=fast,
        flops=flops,
        bfloat16_flops=flops * (_BFLOAT16_SPEEDUP if fast else 1.0),
        cores=cores,
    )


def find_device(name: str) -> Device:
    """Return the device of a name such as `cpu`, `l4`, `a100-80gb` or `NVIDIA H100 80GB HBM3`.

    Raises:
        UnknownDevice: if it is none of the table, with the nearest one.
    """
    plain = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
    if plain == "cpu":
        return cpu()
    if threads := _CPU_THREADS.fullmatch(name):
        return cpu(cores=int(threads[1]))
    words = set(plain.split("-"))
    # The longest names first: a100-80gb before a100-40gb would be no better, but rtx-4090 is before rtx-40.
    for known in sorted(GPUS, key=len, reverse=True):
        if set(known.split("-")) <= words:
            return GPUS[known]
    nearest = difflib.get_close_matches(plain, GPUS, n=1, cutoff=0.5)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"known: cpu, {', '.join(GPUS)}"
    raise UnknownDevice(
        f"no device is called {name!r}; {advice} For any other GPU name one that is like it, and give "
        "memory_bytes"
    )


def machine_memory() -> int:
    """Return the main memory of this machine, or of the container that this process is in, in bytes."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return whole
    return min(whole, int(limit)) if limit.isdigit() else whole


def _gpu(name: str, mebibytes: int, float32: float, bfloat16: float | None) -> Device:
    return Device(
        name,
        "cuda",
        mebibytes * _MIB,
        bfloat16=bfloat16 is not None,
        flops=float32 * _TERA,
        bfloat16_flops=(float32 if bfloat16 is None else bfloat16) * _TERA,
    )


GPUS: Mapping[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            _gpu("t4", 15_360, 8.1, None),
            _gpu("v100-16gb", 16_384, 15.7, None),
            _gpu("v100-32gb", 32_768, 15.7, None),
            _gpu("rtx-3090", 24_576, 35.6, 71.0),
            _gpu("a10", 23_028, 31.2, 125.0),
            _gpu("l4", 23_034, 30.3, 121.0),
            _gpu("rtx-4090", 24_564, 82.6, 165.0),
            _gpu("l40s", 46_068, 91.6, 362.0),
            _gpu("a100-40gb", 40_960, 19.5, 312.0),
            _gpu("a100-80gb", 81_920, 19.5, 312.0),
            _gpu("h100", 81_559, 67.0, 989.0),
            _gpu("h200", 143_771, 67.0, 989.0),
            _gpu("b200", 183_359, 80.0, 2250.0),
        )
    }
)
"""By the name that a request gives."""
