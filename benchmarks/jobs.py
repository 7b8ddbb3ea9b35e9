"""A job of the service as a client sees it: rows uploaded, waited for till it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx


def upload(client: httpx.Client, rows: Path) -> str:
    """Upload a file to train on; returns its id."""
    files = {"file": (rows.name, rows.read_bytes())}
    uploaded = client.post("/v1/files", data={"purpose": "fine-tune"}, files=files).raise_for_status()
    file_id: str = uploaded.json()["id"]
    return file_id


def wait(
    client: httpx.Client,
    job_id: str,
    *,
    seconds: float,
    poll_seconds: float,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Wait till a job has succeeded.

    Args:
        seconds: that it may take.
        check: called before each look; may raise.

    Raises:
        RuntimeError: if it fails, or takes longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        job = client.get(f"/v1/fine_tuning/jobs/{job_id}").raise_for_status().json()
        if job["status"] == "succeeded":
            return
        if job["status"] == "failed":
            raise RuntimeError(f"{job_id} failed: {job['error']}")
        time.sleep(poll_seconds)
    raise RuntimeError(f"{job_id} did not end in {seconds:.0f} s")
