"""What this machine's processor can do, as Linux tells it (no torch: plans are made without it)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_LISTS = frozenset({"flags", "Features"})
"""What the list of abilities is called on x86 and on ARM."""
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


@cache
def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16; False where the system does not tell."""
    try:
        return tells_bfloat16(_CPUINFO.read_text())
    except OSError:
        return False


def tells_bfloat16(cpuinfo: str) -> bool:
    """Whether the text of `/proc/cpuinfo` tells of bfloat16 products, on every processor that it lists."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    found = [set(able.split()) for name, _, able in lines if name.strip() in _LISTS]
    return bool(found) and all(able & _BFLOAT16 for able in found)
