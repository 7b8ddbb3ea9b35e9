"""Unit tests for what freed tensors leave behind in a process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

MIB = 2**20
PROGRAM = f"""
import sys, torch
from ist_core.memory import resident_bytes, return_large_blocks
if sys.argv[1] == "given back":
    return_large_blocks()
torch.ones(30 * {MIB}, dtype=torch.uint8)
before, between = resident_bytes(), []
for size in (20, 16, 12):
    block = torch.ones(size * {MIB}, dtype=torch.uint8)
    between.append(torch.ones(100 * 1024, dtype=torch.uint8))  # lies above the block on the heap
    del block
print(resident_bytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems have other allocators")
@pytest.mark.parametrize(("way", "least", "most"), [("given back", 0, 4), ("as ever", 16, 50)])
def test_large_blocks_are_given_back_when_they_are_freed(way: str, least: int, most: int) -> None:
    command = [sys.executable, "-c", PROGRAM, way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert least <= int(done.stdout) / MIB <= most
