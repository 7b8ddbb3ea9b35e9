"""Our trainer: the engine's own steps, as a job makes them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.trainer import workload
from benchmarks.trainer.roster import LEARNING_RATE, RANK, TARGETS
from benchmarks.trainer.turns import Turns
from ist_core.adapters import add_adapters
from ist_core.catalog import ModelSource
from ist_core.device import pick_device, pick_dtype
from ist_core.ist import IST, adapter_layers
from ist_core.models import load_base_model
from ist_core.objectives.supervised import Supervised
from ist_core.spec import JobSpec
from ist_core.stepper import Stepper

TOTAL = 1000
"""Steps of the job that these are the first of."""


def main() -> None:
    """Make the steps that are asked for."""
    turns = Turns()
    work, keys = workload.read(Path(sys.argv[1])), json.loads(sys.argv[2])
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
    source = ModelSource("folder", work.model.name, str(work.model))
    with tempfile.TemporaryDirectory() as cache:
        dtype = pick_dtype(spec, device)
        base = load_base_model(source, cache_dir=Path(cache), dtype=dtype, device=device)
    model = add_adapters(base.model, spec.adapter, seed=spec.seed)
    layers = adapter_layers(model)
    ist = IST(model, spec.ist, total_steps=TOTAL) if spec.ist else None
    objective = Supervised(model, pad=work.pad, device=device)
    stepper = Stepper(
        model,
        layers,
        spec,
        ist=ist,
        objective=objective,
        probe=work.held_out,
        total_steps=TOTAL,
        check_stop=lambda: None,
    )
    turns.ready(base.model)
    done = 0
    while (number := turns.wait()) is not None:
        batch = work.batches[number]
        outcome = stepper.step(done, batch)
        done += 1
        turns.done(
            examples=len(batch),
            tokens=outcome.tokens,
            loss=outcome.loss,
            probe_seconds=outcome.ist.probe_seconds if outcome.ist else 0.0,
        )
    turns.end(precision=str(dtype).removeprefix("torch."))


if __name__ == "__main__":
    main()
