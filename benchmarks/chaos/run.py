"""A stack, the same job again and again, and a kill every few seconds until there were enough."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openai

from benchmarks.chaos.traces import Trace, read_trace
from benchmarks.chaos.victims import PARTS, Victims, wait_until_answering
from tests.e2e import service
from tests.e2e.service import Service, wait_until
from tests.tiny_model import make_tiny_model

SETTINGS = {
    "ISTHMUS_MAX_ATTEMPTS": "1000",  # the kills are no reason to give up
    "ISTHMUS_LEASE_SECONDS": "4",  # or each killed worker would cost half a minute
    "ISTHMUS_HEARTBEAT_SECONDS": "0.5",
    "ISTHMUS_SCHEDULER_SECONDS": "0.5",
}
LAYERS = 4
ROWS = 128
PAUSE_SECONDS = (0.2, 6.0)
"""Between two kills: from less than a trainer needs to start to long enough for checkpoints."""
CHECKPOINTS = 20


@dataclass
class Outcome:
    """What the kills came to."""

    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    succeeded: int = 0
    steps: int = 0
    attempts: int = 0
    lost: int = 0
    duplicated: int = 0
    other_records: int = 0
    """Jobs whose records are not the undisturbed run's."""
    other_weights: int = 0
    """Jobs whose weights are not the undisturbed run's."""

    @property
    def unharmed(self) -> bool:
        """Whether every job ended as if nothing had been."""
        harm = self.lost + self.duplicated + self.other_records + self.other_weights
        return self.jobs == self.succeeded and harm == 0

    def table(self) -> str:
        """The figures, one a line."""
        kills = ", ".join(f"{part} {self.kills[part]}" for part in PARTS)
        equal = f"{self.succeeded - self.other_weights} of {self.jobs}"
        lines = {
            "kills": f"{self.kills.total()} ({kills})",
            "jobs": f"{self.jobs}, succeeded {self.succeeded}, in {self.attempts} attempts",
            "step records": self.steps,
            "step records lost": self.lost,
            "step records duplicated": self.duplicated,
            "records equal to the undisturbed run's": f"{self.succeeded - self.other_records} of {self.jobs}",
            "weights equal to the undisturbed run's": equal,
        }
        return "\n".join(f"{name:<40} {value}" for name, value in lines.items())


def run(folder: Path, *, kills: int, seed: int, steps: int, say: Callable[[str], None]) -> Outcome:
    """Start a stack in `folder`, train undisturbed, kill, compare, and stop the stack."""
    make_tiny_model(folder / "models" / "tiny", layers=LAYERS)
    os.environ.update(SETTINGS)
    stack = service.start(folder)
    try:
        return _Chaos(stack, random.Random(seed), steps, say).run(kills)  # noqa: S311  # moments, no secrets
    finally:
        if stack.process.poll() is None:
            stack.interrupt()


class _Chaos:
    def __init__(self, stack: Service, draw: random.Random, steps: int, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._client = stack.client
        self._draw = draw
        self._steps = steps
        self._say = say
        self._outcome = Outcome()
        self._file = self._client.files.create(file=("numbers.jsonl", _rows()), purpose="fine-tune").id

    def run(self, kills: int) -> Outcome:
        undisturbed = self._create()
        self._wait_until_ended(undisturbed)
        expected = read_trace(self._stack, undisturbed)
        self._say(f"undisturbed: {len(expected.steps)} steps, weights {expected.weights[:12]}")
        victims, jobs = Victims(self._stack, self._draw), [self._create()]
        while self._outcome.kills.total() < kills:
            time.sleep(self._draw.uniform(*PAUSE_SECONDS))
            if self._state(jobs[-1]) in ("succeeded", "failed"):
                jobs.append(self._create())
            elif (part := victims.kill_one()) is not None:
                self._outcome.kills[part] += 1
                self._say(f"kill {self._outcome.kills.total()}: {part}, {self._where(jobs[-1])}")
        for job_id in jobs:
            self._wait_until_ended(job_id)
            self._compare(job_id, expected)
        return self._outcome

    def _create(self) -> str:
        wait_until_answering(self._stack)
        job = self._client.fine_tuning.jobs.create(
            model="tiny",
            training_file=self._file,
            seed=7,
            hyperparameters={"n_epochs": 50, "batch_size": 4},
            extra_body={
                "max_steps": self._steps,
                "checkpoint_interval": max(1, self._steps // CHECKPOINTS),
                "adapter": {"rank": 4, "dropout": 0.1},
                "ist": {"update_fraction": 0.5},
            },
        )
        return job.id

    def _state(self, job_id: str) -> str:
        wait_until_answering(self._stack)
        return self._client.fine_tuning.jobs.retrieve(job_id).status

    def _where(self, job_id: str) -> str:
        try:
            job = self._client.fine_tuning.jobs.retrieve(job_id)
        except openai.APIError:
            return "the API is away"
        shown = job.model_extra or {}
        return f"job {shown['state']} at step {shown['step']}"

    def _wait_until_ended(self, job_id: str) -> None:
        ended = ("succeeded", "failed", "cancelled")
        wait_until(f"{job_id} ends", lambda: self._state(job_id) in ended, 240)

    def _compare(self, job_id: str, expected: Trace) -> None:
        outcome = self._outcome
        job = self._client.fine_tuning.jobs.retrieve(job_id)
        outcome.jobs += 1
        events = [event.message for event in self._client.fine_tuning.jobs.list_events(job_id, limit=100)]
        outcome.attempts += events.count("Fine-tuning job started")
        if job.status != "succeeded":
            self._say(f"{job_id} {job.status}: {job.error}")
            return
        outcome.succeeded += 1
        trace = read_trace(self._stack, job_id)
        outcome.steps += len(trace.steps)
        outcome.lost += trace.lost(self._steps)
        outcome.duplicated += trace.duplicated()
        outcome.other_records += trace.records != expected.records
        outcome.other_weights += trace.weights != expected.weights


def _rows() -> bytes:
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}]}
        for n in range(ROWS)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()
