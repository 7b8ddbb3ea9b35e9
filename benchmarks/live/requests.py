"""The API among many jobs: answers a second, and how long the slowest take."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass

from sqlalchemy import select

from benchmarks.live.stack import Stack
from store.tables import Job
from tests.crowd import fill

JOBS = "/v1/fine_tuning/jobs"
SAMPLE = 2000
QUEUED = 20


@dataclass(frozen=True, slots=True)
class Load:
    """Answers of one kind to so many connections."""

    name: str
    connections: int
    rate: float
    p50: float
    p99: float

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "connections": self.connections,
            "requests_per_second": self.rate,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
        }


def prepare(stack: Stack, jobs: int) -> dict[str, list[str]]:
    """Fill the table; what is asked for, by name."""
    fill(stack.database, jobs=jobs, queued=QUEUED)
    with stack.database.session() as session:
        spread = select(Job.id).order_by(Job.id).limit(SAMPLE)
        ids = list(session.scalars(spread))
    return {
        "retrieve": [f"{JOBS}/{job_id}" for job_id in ids],
        "list": [JOBS],
        "list, a later page": [f"{JOBS}?after={job_id}" for job_id in ids],
        "list, failed or cancelled": [f"{JOBS}?state=failed&state=cancelled"],
        "list, metadata that one has": [f"{JOBS}?metadata[team]=rare"],
        "list, a part of a name": [f"{JOBS}?search=needle"],
    }


def measure(stack: Stack, name: str, paths: list[str], connections: int, seconds: float) -> Load:
    """Ask for these paths in turns, for so long."""
    file = stack.folder / "paths.txt"
    file.write_text("\n".join(paths * connections if len(paths) < connections else paths))
    port = stack.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live.load", port, str(file), str(connections), str(seconds)],
        env={**os.environ, "BENCH_KEY": stack.key},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    taken = [second * 1000 for second in found["seconds"]]
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return Load(name, connections, len(taken) / found["elapsed"], cuts[49], cuts[98])
