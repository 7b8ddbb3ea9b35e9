"""What freed tensors leave behind in a process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from ist_core.allocator import TUNABLES, training_environment

MIB = 2**20
PROGRAM = f"""
import sys, torch
from ist_core.allocator import return_large_blocks
from ist_core.memory import resident_bytes
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

TRAINING = """
import torch
from torch import nn
from ist_core.memory import PeakMemory
torch.manual_seed(0)
torch.set_num_threads(1)
layer = lambda: nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))
model = nn.Sequential(*(layer() for _ in range(20)))
memory = PeakMemory(torch.device("cpu"))
for step in range(20):
    model(torch.randn(400 + 37 * (step * 7 % 13), 64)).square().mean().backward()
    model.zero_grad()
print(memory.peak_bytes() - memory.baseline_bytes)
"""
LIBC, VERSION = platform.libc_ver()
GLIBC = pytest.mark.skipif(LIBC != "glibc", reason="other systems have other allocators")
CUTS = pytest.mark.skipif(
    LIBC == "glibc" and tuple(map(int, VERSION.split("."))) > (2, 37),
    reason="later versions deal with aligned blocks in another way",
)


@GLIBC
@pytest.mark.parametrize(("way", "least", "most"), [("given back", 0, 4), ("as ever", 16, 50)])
def test_large_blocks_are_given_back_when_they_are_freed(way: str, least: int, most: int) -> None:
    command = [sys.executable, "-c", PROGRAM, way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert least <= int(done.stdout) / MIB <= most


@GLIBC
@CUTS
def test_a_process_that_trains_leaves_fewer_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TUNABLES, raising=False)
    taken = []
    for environment in (dict(os.environ), os.environ | training_environment()):
        command = [sys.executable, "-c", TRAINING]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        taken.append(int(done.stdout))
    assert taken[1] < 0.93 * taken[0]


def test_tunables_of_the_user_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TUNABLES, "glibc.malloc.arena_max=1")
    assert training_environment() == {TUNABLES: "glibc.malloc.arena_max=1"}
