"""Runs of `train` on the tiny Llama, whole or in pieces, and what is compared between them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from ist_core import JobSpec, Message, StepRecord, TrainResult, train
from ist_core.records import Checkpointed, Emitted

_TIMED = {"tokens_per_second", "step_seconds", "memory_bytes", "ist_seconds", "probe_seconds"}
"""What differs between two runs of the same spec."""


DRAWN = {"policy": "importance", "scorer": "suppression", "update_fraction": 0.25}
"""Layers drawn one by one by probed importance, as the paper has it."""


def make_spec(tiny_folder: Path, chat_file: Path, **changes: object) -> JobSpec:
    """Return a spec of 20 steps in two epochs; with IST, warm-up in 2 and a probe every 3 of them."""
    fields = {
        "model": str(tiny_folder),
        "training_file": str(chat_file),
        "adapter": {"rank": 4},
        "ist": DRAWN | {"probe_interval": 3, "warmup_steps": 2},
        "n_epochs": 2,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "precision": "float32",
    }
    return JobSpec.model_validate(fields | changes)


def run(
    spec: JobSpec,
    folder: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    resume_from: Path | None = None,
) -> tuple[TrainResult, list[Emitted]]:
    """Train; return the result and all that was emitted."""
    emitted: list[Emitted] = []
    result = train(
        spec, output_dir=folder, emit=emitted.append, should_stop=should_stop, resume_from=resume_from
    )
    return result, emitted


def stop_at(spec: JobSpec, folder: Path, step: int, *, resume_from: Path | None = None) -> list[Emitted]:
    """Train until `step` is done, and stop; return what was emitted."""
    emitted: list[Emitted] = []
    result = train(
        spec,
        output_dir=folder,
        emit=emitted.append,
        should_stop=lambda: bool(steps_of(emitted)) and steps_of(emitted)[-1].step == step,
        resume_from=resume_from,
    )
    assert (result.stopped, result.steps) == (True, step)
    assert result.checkpoint == f"checkpoints/step-{step:06d}"
    return emitted


def steps_of(emitted: list[Emitted]) -> list[StepRecord]:
    """Return the step records."""
    return [item for item in emitted if isinstance(item, StepRecord)]


def checkpointed(emitted: list[Emitted]) -> list[int]:
    """Return the steps at which a checkpoint was told."""
    return [item.step for item in emitted if isinstance(item, Checkpointed)]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the adapter's weights."""
    return load_file(folder / "adapter" / "adapter_model.safetensors")


@dataclass(frozen=True)
class Outcome:
    """All of a finished run that must not depend on whether it was stopped in between."""

    weights: dict[str, list[float]]
    report: dict[str, object]
    table: list[dict[str, str]]
    records: list[object]
    messages: list[str]


def outcome_of(folder: Path, emitted: list[Emitted]) -> Outcome:
    """Collect the outcome of the run that ended in `folder`; `emitted` is of all its pieces together."""
    report = json.loads((folder / "report.json").read_text())
    keys = ("steps", "trained_tokens", "final_loss", "importance", "layer_updates")
    with (folder / "steps.csv").open(newline="") as file:
        table = [
            {name: value for name, value in row.items() if name not in _TIMED} for row in csv.DictReader(file)
        ]
    records: list[object] = []
    for item in steps_of(emitted):
        metrics = {name: value for name, value in item.metrics.items() if name not in _TIMED}
        records.append((item.step, metrics, item.importance, item.active, item.probabilities))
    return Outcome(
        weights={name: value.flatten().tolist() for name, value in weights_of(folder).items()},
        report={key: report[key] for key in keys},
        table=table,
        records=records,
        messages=[
            item.text
            for item in emitted
            if isinstance(item, Message) and not item.text.startswith("Resumed after")
        ],
    )


def in_one(spec: JobSpec, folder: Path) -> Outcome:
    """Train without a stop."""
    _, emitted = run(spec, folder)
    return outcome_of(folder, emitted)


def in_pieces(spec: JobSpec, folder: Path, stops: Sequence[int]) -> Outcome:
    """Train with a stop after each of these steps; each piece resumes in a folder of its own."""
    emitted: list[Emitted] = []
    checkpoint: Path | None = None
    for stop in stops:
        emitted += stop_at(spec, folder / str(stop), stop, resume_from=checkpoint)
        checkpoint = folder / str(stop) / "checkpoints" / f"step-{stop:06d}"
    _, last = run(spec, folder / "last", resume_from=checkpoint)
    return outcome_of(folder / "last", emitted + last)
