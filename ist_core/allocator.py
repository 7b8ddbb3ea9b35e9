"""How glibc's allocator leaves fewer holes behind, in a process that trains and in one that is to (no torch).

torch asks for aligned blocks, which glibc cuts out of larger ones. What it cuts off, less than a hundred
bytes, waits in a thread's cache for the next small object; once that lives there, the freed block is too
small to be an aligned one of its own size again. So holes as large as activations are left, about a third of
what a step keeps (docs/performance.md; glibc 2.36). Without these caches what was cut off joins its block
again.
"""

from __future__ import annotations

import ctypes
import os
import platform

TUNABLES = "GLIBC_TUNABLES"
"""Read by the loader, before a program begins."""
_NO_CACHES = "glibc.malloc.tcache_count=0"
_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD, malloc.h"""
_LARGE_BYTES = 4 * 2**20
"""More than a layer's activations on a small batch, less than a chunk's logits."""


def return_large_blocks() -> None:
    """Have large blocks given back to the system when they are freed, for as long as the process lives.

    glibc does so until the first is freed; from then on, blocks of that size come from its heap, where they
    leave holes behind: 0.1 GB after some dozens of steps of many widths (docs/performance.md).
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def training_environment() -> dict[str, str]:
    """Return the environment variables of a process that is to train: no caches of small blocks.

    Whoever has set any of glibc's tunables is left alone.
    """
    return {TUNABLES: os.environ.get(TUNABLES, _NO_CACHES)}
