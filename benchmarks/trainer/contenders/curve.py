"""One run of the quality study: `python -m benchmarks.trainer.contenders.curve WORKLOAD KEYS`.

Prints one line of JSON: the loss on held-out rows now and then, and the processor time of the steps up to
there; and the peak of its memory. Looking at held-out rows takes no counted time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from torch import nn

from benchmarks.trainer import workload
from benchmarks.trainer.contenders.ours import Ours, build, distinct_rows
from benchmarks.trainer.resident import Peak
from ist_core.encoding import Example

ROWS = 4
"""Held-out rows that go through the model at once: few, for it is training's peak that is compared."""


def main() -> None:
    """Train, and look at the loss after every `every` steps."""
    peak = Peak()
    work, keys = workload.read(Path(sys.argv[1])), json.loads(sys.argv[2])
    total, every = keys.pop("steps"), keys.pop("every")
    probe, held_out = work.held_out[: len(work.held_out) // 6], work.held_out[len(work.held_out) // 6 :]
    ours = build(workload.with_held_out(work, probe), keys, total=total, rows=distinct_rows(work))
    peak.begin(ours.base)
    curve, seconds = [], 0.0
    for step in range(total):
        began = time.process_time()
        ours.stepper.step(step, work.batches[step % len(work.batches)])
        seconds += time.process_time() - began
        if (step + 1) % every == 0 or step + 1 == total:
            curve.append({"step": step + 1, "seconds": seconds, "loss": held_out_loss(ours, held_out)})
    print(json.dumps({"curve": curve, "peak_bytes": peak.bytes()}))


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
