"""One run of the quality study: `python -m benchmarks.trainer.contenders.curve WORKLOAD KEYS`.

Prints one line of JSON: the loss on held-out rows now and then, and the time of the steps up to there.
Looking at held-out rows, which both sides of a comparison do alike, is not counted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from torch import nn

from benchmarks.trainer import workload
from benchmarks.trainer.contenders.ours import Ours, build
from ist_core.encoding import Example

ROWS = 16
"""Held-out rows that go through the model at once."""


def main() -> None:
    """Train, and look at the loss after every `every` steps."""
    work, keys = workload.read(Path(sys.argv[1])), json.loads(sys.argv[2])
    total, every = keys.pop("steps"), keys.pop("every")
    probe, held_out = work.held_out[: len(work.held_out) // 4], work.held_out[len(work.held_out) // 4 :]
    ours = build(workload.with_held_out(work, probe), keys, total=total)
    curve, seconds, cpu_seconds = [], 0.0, 0.0
    for step in range(total):
        wall, cpu = time.perf_counter(), time.process_time()
        ours.stepper.step(step, work.batches[step % len(work.batches)])
        seconds += time.perf_counter() - wall
        cpu_seconds += time.process_time() - cpu
        if (step + 1) % every == 0 or step + 1 == total:
            loss = held_out_loss(ours, held_out)
            curve.append({"step": step + 1, "seconds": seconds, "cpu_seconds": cpu_seconds, "loss": loss})
    print(json.dumps(curve))


def held_out_loss(ours: Ours, rows: list[Example]) -> float:
    """Return the mean loss of the rows' learnt tokens."""
    nn.Module.eval(ours.base)
    total, weight = 0.0, 0
    for at in range(0, len(rows), ROWS):
        batch = ours.objective.collate(rows[at : at + ROWS])
        total += ours.objective.measure(batch).loss
        weight += batch.weight
    return total / weight


if __name__ == "__main__":
    main()
