"""From submit to first step, cold and warm: `python -m benchmarks.starts [--runs N] [--model NAME]`.

Cold: a worker that has just started, without warm trainers. Warm: a worker's second job on the same model.
They take turns. Prints a table, writes benchmarks/results/starts.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.jobs import upload, wait
from benchmarks.live.stack import Stack, running
from benchmarks.table import Target
from ist_core.catalog import SMOLLM2

Start = dict[str, float]
"""Seconds from the submit to the beginning and the end of step 1."""

RESULTS = Path(__file__).parent / "results" / "starts.json"
TARGET = 0.2
STEPS = 2
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.02
WARM_SECONDS = 15.0
"""Rest before each job: a worker's warm process imports its libraries in that time, and a cold one ends."""
ROWS = Path(__file__).parents[1] / "examples" / "tickets" / "train.jsonl"


def main() -> int:
    """Run, print and write. The exit code tells whether all was measured, not how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="pairs (default: %(default)s)")
    parser.add_argument("--model", default=SMOLLM2, help="base model (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="rows a step (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as stack:
        with _client(stack) as client:
            file_id = upload(client, ROWS)
        body = _body(given.model, file_id, given.batch)
        with _worker(stack, warm=False):
            _start(stack, body)  # converts the base model, which no later start has to
        pairs = [_pair(stack, body) for _ in range(given.runs)]
    cold, warm = ([pair[at] for pair in pairs] for at in (0, 1))
    found = _results(given.model, cold, warm)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name in ("cold", "warm"):
        print(
            f"{name}  {found[name]['begins']:6.2f} s to the beginning of step 1  "
            f"{found[name]['ends']:6.2f} s to its end"
        )
    for target in found["targets"]:
        met = "yes" if target["met"] else "NO"
        print(f"{target['name']}: {target['value']:.3f} (target {target['target']}: {met})")
    return 0


def _results(model: str, cold: list[Start], warm: list[Start]) -> dict[str, Any]:
    medians = {
        name: {key: statistics.median(start[key] for start in starts) for key in ("begins", "ends")}
        for name, starts in (("cold", cold), ("warm", warm))
    }
    targets = [
        _target(
            f"second job on the same base model, submit to the {what} of step 1, over a cold start", ratio
        )
        for what, ratio in (
            ("beginning", medians["warm"]["begins"] / medians["cold"]["begins"]),
            ("end", medians["warm"]["ends"] / medians["cold"]["ends"]),
        )
    ]
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "model": model,
        "runs": {"cold": cold, "warm": warm},
        **medians,
        "targets": targets,
    }


def _target(name: str, ratio: float) -> dict[str, object]:
    return Target(name, ratio, f"<= {TARGET}", met=ratio <= TARGET).row()


def _pair(stack: Stack, body: dict[str, Any]) -> tuple[Start, Start]:
    """A cold start, and the second job of a warm worker."""
    with _worker(stack, warm=False):
        cold = _start(stack, body)
    with _worker(stack, warm=True):
        _start(stack, body)
        return cold, _start(stack, body)


def _start(stack: Stack, body: dict[str, Any]) -> Start:
    """Submit a job and see it to its end; seconds from the submit to its first step."""
    time.sleep(WARM_SECONDS)
    with _client(stack) as client:
        submitted = time.time()
        job_id = client.post("/v1/fine_tuning/jobs", json=body).raise_for_status().json()["id"]
        wait(client, job_id, seconds=WAIT_SECONDS, poll_seconds=POLL_SECONDS)
        told = client.get(f"/v1/fine_tuning/jobs/{job_id}/metrics", params={"keys": "step_seconds"})
        first = told.raise_for_status().json()
    ends = first["time"][0] - submitted
    return {"begins": ends - first["series"]["step_seconds"][0], "ends": ends}


def _client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.url, headers=stack.headers, timeout=60)


def _body(model: str, file_id: str, batch: int) -> dict[str, Any]:
    method = {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": batch}}}
    return {"model": model, "training_file": file_id, "method": method, "max_steps": STEPS, "seed": 1}


@contextmanager
def _worker(stack: Stack, *, warm: bool) -> Iterator[None]:
    """A worker of this stack, which needs no scheduler: the API sends each job."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")},
        "ISTHMUS_DATABASE_URL": stack.settings.database_url,
        "ISTHMUS_REDIS_URL": stack.settings.redis_url,
        "ISTHMUS_DATA_DIR": str(stack.settings.data_dir),
        "ISTHMUS_HUB": "false",
        "ISTHMUS_WARM_TRAINERS": str(warm).lower(),
    }
    with (stack.folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
