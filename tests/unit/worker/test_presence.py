"""A worker shows itself and its device, and goes when it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from store.database import Database
from store.workers import Device, SeenWorker, list_workers
from tests.factories import tenant
from worker.device_facts import read_device
from worker.presence import Presence


def workers(database: Database) -> list[SeenWorker]:
    with database.session() as session:
        return list_workers(tenant(session))


def test_it_is_shown_while_it_lasts(database: Database) -> None:
    shutting_down = threading.Event()
    presence = Presence(database, shutting_down, seconds=0.02)
    with presence.shown():
        deadline = time.monotonic() + 30
        while not workers(database):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (first,) = workers(database)
        assert (first.worker.id, first.state) == (presence.id, "idle")
        shutting_down.set()
        while workers(database)[0].state != "stopping":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (later,) = workers(database)
        assert later.worker.seen_at > first.worker.seen_at
        assert later.worker.started_at == first.worker.started_at
    assert workers(database) == []


def fake_tool(folder: Path, script: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "device"),
    [
        (
            "NVIDIA H100 80GB HBM3, 81559, 4",
            Device("cuda", "NVIDIA H100 80GB HBM3", 81559 * 2**20, 4 * 2**20),
        ),
        ("Tegra, Orin, [N/A], [N/A]", Device("cuda", "Tegra, Orin", None, None)),
    ],
)
def test_the_first_gpu_is_read_from_the_drivers_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, device: Device
) -> None:
    fake_tool(tmp_path, f'echo "{line}"; echo "another, 1, 1"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert read_device() == device


@pytest.mark.parametrize(
    ("visible", "script"), [("", "echo a, 1, 1"), ("-1", "echo a, 1, 1"), ("0", "exit 9")]
)
def test_without_a_gpu_it_is_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, script: str
) -> None:
    fake_tool(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = read_device()
    assert (found.device, found.memory_bytes) == ("cpu", psutil.virtual_memory().total)
    assert 0 < (found.memory_used_bytes or 0) < psutil.virtual_memory().total


def test_the_gpu_that_the_worker_may_use_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool(tmp_path, 'echo "$1 $2, 1, 1"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert read_device().device_name == "--id 3"


def test_it_loads_no_torch() -> None:
    code = "import sys, worker.presence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
