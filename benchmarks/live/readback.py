"""How long it takes to read a long series back, downsampled."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from benchmarks.live.peers.series import timed
from benchmarks.live.runs import point_record, reporting
from benchmarks.live.stack import Stack


@dataclass(frozen=True, slots=True)
class Read:
    """One way to read a series of `size` points."""

    name: str
    size: int
    seconds: float
    returned: int
    sampled: bool
    """Whether it answers with about as many points as are asked for, not with the whole series."""
    documented: bool = True
    """Whether its pages tell people of this way."""

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "points_stored": self.size,
            "points_returned": self.returned,
            "downsampled": self.sampled,
            "documented": self.documented,
            "milliseconds": self.seconds * 1000,
        }


def measure(stack: Stack, size: int, points: int) -> Read:
    """Ours, over HTTP: a job with so many steps, its loss as at most so many points."""
    with reporting(stack) as (job_id, reporter):
        for step in range(1, size + 1):
            reporter.emit(point_record(step))
    path = f"/v1/fine_tuning/jobs/{job_id}/metrics"
    with httpx.Client(base_url=stack.url, headers=stack.headers, timeout=60) as client:

        def read() -> int:
            answer = client.get(path, params={"keys": "loss", "points": points})
            answer.raise_for_status()
            body = answer.json()
            last: int = body["steps"][-1]
            if last != size:
                raise RuntimeError(f"the series ends at step {last}, not {size}")
            return len(body["steps"])

        found = timed(read)
    return Read("Isthmus, HTTP", size, found["seconds"], found["returned"], sampled=True)
