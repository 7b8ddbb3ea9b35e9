"""Our trainer: the engine's own steps, as a job makes them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from benchmarks.trainer import workload
from benchmarks.trainer.roster import LEARNING_RATE, RANK, TARGETS
from benchmarks.trainer.turns import Turns
from benchmarks.trainer.workload import Workload
from ist_core.adapters import add_adapters
from ist_core.allocator import return_large_blocks
from ist_core.batches import Batch
from ist_core.catalog import ModelSource
from ist_core.device import pick_device, pick_dtype
from ist_core.encoding import Example
from ist_core.ist import IST, adapter_layers
from ist_core.models import load_base_model
from ist_core.objectives.supervised import Supervised
from ist_core.planner import KeptLayers
from ist_core.spec import JobSpec
from ist_core.stepper import Stepper

TOTAL = 1000
"""Steps of the job that these are the first of."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The engine, ready for its first step."""

    stepper: Stepper[Example, Batch]
    objective: Supervised
    base: PreTrainedModel
    precision: str


def build(work: Workload, keys: dict[str, Any], *, total: int, rows: int) -> Ours:
    """Load the model and make the engine for a job of `total` steps on `rows` rows.

    Args:
        keys: the job's own; and `kept`, how many layers keep their activations, in a warm-up and after it.
    """
    return_large_blocks()  # as `train` does
    kept = keys.pop("kept", None)
    spec = JobSpec.model_validate(
        {
            "model": str(work.model),
            "training_file": "-",
            "adapter": {"rank": RANK, "target_modules": TARGETS},
            "batch_size": len(work.batches[0]),
            "learning_rate": LEARNING_RATE,
            **keys,
        }
    )
    device = pick_device()
    dtype = pick_dtype(spec, device)
    source = ModelSource("folder", work.model.name, str(work.model))
    # A folder needs no conversion, so nothing is written there.
    base = load_base_model(source, cache_dir=work.model.parent, dtype=dtype, device=device)
    model = add_adapters(base.model, spec.adapter, seed=spec.seed)
    training = [example for batch in work.batches for example in batch]
    objective = Supervised(model, pad=work.pad, device=device, training=training, together=spec.batch_size)
    stepper = Stepper(
        model,
        adapter_layers(model),
        spec,
        ist=IST(model, spec.ist, total_steps=total, seed=spec.seed) if spec.ist else None,
        objective=objective,
        probe=work.held_out,
        total_steps=total,
        rows=rows,
        kept=None if kept is None else KeptLayers(*kept),
        check_stop=lambda: None,
    )
    return Ours(stepper, objective, base.model, str(dtype).removeprefix("torch."))


def distinct_rows(work: Workload) -> int:
    """Return how many rows there are, however often they come."""
    return len({example.tokens for batch in work.batches for example in batch})


def main() -> None:
    """Make the steps that are asked for."""
    turns = Turns()
    work = workload.read(Path(sys.argv[1]))
    keys = json.loads(sys.argv[2])
    # Layers that settle are passed by once their rows have been seen: a job of one epoch meets each row once.
    rows = distinct_rows(work) if keys.pop("later") else TOTAL * len(work.batches[0])
    ours = build(work, keys, total=TOTAL, rows=rows)
    turns.ready(ours.base)
    done = 0
    while (number := turns.wait()) is not None:
        batch = work.batches[number]
        outcome = ours.stepper.step(done, batch)
        done += 1
        turns.done(
            examples=len(batch),
            tokens=outcome.tokens,
            loss=outcome.loss,
            probe_seconds=outcome.ist.probe_seconds if outcome.ist else 0.0,
        )
    turns.end(precision=ours.precision)


if __name__ == "__main__":
    main()
