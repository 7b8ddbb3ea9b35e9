"""What a finished job left: its step records as its stream tells them, and its weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.service import Service

TIMES = {"ist_seconds", "memory_bytes", "probe_seconds", "step_seconds", "tokens_per_second"}
"""Metrics that no two runs share."""
WEIGHTS = "adapter/adapter_model.safetensors"


@dataclass(frozen=True)
class Trace:
    """One job's."""

    steps: list[int]
    """In the stream's order."""
    records: list[dict[str, Any]]
    """By step, without times."""
    weights: str
    """SHA-256."""

    def lost(self, total: int) -> int:
        """Steps that no record tells of."""
        return total - len(set(self.steps) & set(range(1, total + 1)))

    def duplicated(self) -> int:
        """Records of steps that another one tells of."""
        return len(self.steps) - len(set(self.steps))


def read_trace(stack: Service, job_id: str) -> Trace:
    """Read a job that has succeeded, as its users see it."""
    steps = [frame["data"] for frame in stack.frames(job_id) if frame["type"] == "step"]
    records = [
        {
            **{key: value for key, value in step.items() if key not in ("time", "metrics")},
            "metrics": {key: value for key, value in step["metrics"].items() if key not in TIMES},
        }
        for step in sorted(steps, key=lambda step: int(step["step"]))
    ]
    address = f"{stack.url}/v1/fine_tuning/jobs/{job_id}/artifacts/{WEIGHTS}"
    answer = httpx.get(address, headers={"Authorization": f"Bearer {stack.api_key}"})
    answer.raise_for_status()
    return Trace([step["step"] for step in steps], records, hashlib.sha256(answer.content).hexdigest())
