"""From a trainer's `emit` to the clients that watch: how long a step takes, with one, many and very many."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.live.runs import record, reporting
from benchmarks.live.stack import Stack
from worker.reporter import Reporter

SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Delays of one number of watchers, in milliseconds."""

    watchers: int
    steps: int
    frames: int
    p50: float
    p99: float
    worst: float
    missing: int = 0
    """Frames that did not come."""
    cut_off: int = 0
    """Watchers whose connection ended."""

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "watchers": self.watchers,
            "steps": self.steps,
            "frames": self.frames,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "max_ms": self.worst,
            "frames_missing": self.missing,
            "watchers_cut_off": self.cut_off,
        }


def measure(stack: Stack, watchers: int, seconds: float, steps_a_second: float) -> Latency:
    """Let so many clients watch a job that makes steps. Raises RuntimeError when no frame comes."""
    with reporting(stack) as (job_id, reporter):
        address = stack.url.replace("http", "ws", 1) + f"/v1/fine_tuning/jobs/{job_id}/stream"
        clients = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.live.watchers", address, str(watchers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "BENCH_KEY": stack.key},
            text=True,
        )
        try:
            assert clients.stdout is not None  # noqa: S101  # for the type checker
            if clients.stdout.readline().strip() != "ready":
                raise RuntimeError("the watchers could not connect")
            time.sleep(SETTLE_SECONDS)
            steps = _emit(reporter, seconds, steps_a_second)
            time.sleep(SETTLE_SECONDS)
            output, _ = clients.communicate(timeout=60)
        finally:
            clients.kill()
            clients.wait()
    seen = json.loads(output.splitlines()[-1])
    delays = seen["delays"]
    if not delays:
        raise RuntimeError(f"none of {steps * watchers} frames came; {seen['lost']} watchers were cut off")
    missing = steps * watchers - len(delays)
    return Latency(watchers, steps, len(delays), *_summary(delays), missing, seen["lost"])


def _emit(reporter: Reporter, seconds: float, steps_a_second: float) -> int:
    count = max(1, round(seconds * steps_a_second))
    began = time.monotonic()
    for step in range(1, count + 1):
        time.sleep(max(0.0, began + step / steps_a_second - time.monotonic()))
        reporter.emit(record(step))
    return count


def _summary(delays: list[float]) -> tuple[float, float, float]:
    if len(delays) == 1:
        return delays[0], delays[0], delays[0]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return cuts[49], cuts[98], max(delays)
