"""The whole stack as a user starts it, `python -m standalone up`, in a folder of the test's own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil
from websockets.sync.client import connect

from standalone.ports import free_port

WAIT_SECONDS = 120.0


@dataclass
class Service:
    """A running stack and its client."""

    process: subprocess.Popen[str]
    data_dir: Path
    login_url: str
    url: str
    api_key: str

    @property
    def client(self) -> openai.OpenAI:
        """The unmodified `openai` client."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.api_key)

    def processes(self) -> list[psutil.Process]:
        """Every process that runs on this stack's data folder, the stack's own included."""
        return [
            process for process in psutil.process_iter() if belongs(process, self.data_dir) and alive(process)
        ]

    def trainers(self, job_id: str) -> list[psutil.Process]:
        """The job's trainer processes."""
        return [process for process in self.processes() if f"worker.run {job_id}" in command_line(process)]

    def frames(self, job_id: str, after: int = 0) -> list[dict[str, Any]]:
        """The job's stream after a cursor, followed to its end."""
        address = f"{self.url.replace('http', 'ws', 1)}/v1/fine_tuning/jobs/{job_id}/stream?after={after}"
        with connect(address, additional_headers={"Authorization": f"Bearer {self.api_key}"}) as stream:
            return [json.loads(text) for text in stream]

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=WAIT_SECONDS)


def start(data_dir: Path) -> Service:
    """Start a stack on `data_dir` and wait until it says that it is up."""
    output = data_dir / "stack.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "standalone",
                "up",
                "--data-dir",
                str(data_dir),
                "--port",
                str(free_port()),
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    while True:
        text = output.read_text()
        if match := re.search(r"dashboard\s+((http://[^/]+)/#token=(\S+))\n", text):
            return Service(process, data_dir, match[1], match[2], match[3])
        assert process.poll() is None, "the stack did not start:\n" + text
        time.sleep(0.1)


def command_line(process: psutil.Process) -> str:
    """The process's command line; empty when it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def alive(process: psutil.Process) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def belongs(process: psutil.Process, data_dir: Path) -> bool:
    """Whether a process was started by the stack on `data_dir`: by environment, folder or command line."""
    try:
        if process.environ().get("ISTHMUS_DATA_DIR") == str(data_dir):
            return True
        if Path(process.cwd()).is_relative_to(data_dir):
            return True
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        pass  # gone, or another user's: then its command line must tell
    return str(data_dir) in command_line(process)


def wait_until(what: str, condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Poll until `condition` holds; fails the test with `what` otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
