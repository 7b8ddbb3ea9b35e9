"""What a worker trains on, without torch: the first GPU that the driver's tool tells of, or the machine."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess

import psutil

from store.workers import Device

SECONDS = 5.0
MIB = 1024 * 1024

logger = logging.getLogger(__name__)


def read_device() -> Device:
    """The device that torch would take, and its memory now."""
    return _gpu(os.environ.get("CUDA_VISIBLE_DEVICES")) or _machine()


def _gpu(visible: str | None) -> Device | None:
    """The first GPU that the process may use; None: there is none."""
    first = None if visible is None else visible.split(",")[0].strip()
    if first in {"", "-1"}:
        return None
    # Looked for first: a process that comes to nothing costs a hundred times as much.
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    which = [] if first is None else ["--id", first]
    query = [
        tool,
        *which,
        "--query-gpu=name,memory.total,memory.used",
        "--format=csv,noheader,nounits",
    ]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    except (subprocess.SubprocessError, OSError) as error:
        logger.warning("nvidia-smi tells nothing of the GPU: %s", error)
        return None
    return _read_line(told.partition("\n")[0])


def _read_line(line: str) -> Device | None:
    """A line such as `NVIDIA H100 80GB HBM3, 81559, 4`; memory that is `[N/A]` is not known."""
    name, *numbers = (part.strip() for part in line.rsplit(",", 2))
    if len(numbers) != 2:
        return None
    total, used = (int(number) * MIB if number.isdecimal() else None for number in numbers)
    return Device("cuda", name, total, used)


def _machine() -> Device:
    memory = psutil.virtual_memory()
    name = f"{platform.machine()}, {os.cpu_count()} cores"
    return Device("cpu", name, memory.total, memory.total - memory.available)
