"""What a finished run tells of itself: `report.json`."""

from __future__ import annotations

from dataclasses import asdict

import torch

from ist_core.artifacts import versions
from ist_core.comparison import Compared
from ist_core.device import device_name
from ist_core.forecast import Forecast
from ist_core.memory import PeakMemory
from ist_core.objectives.objective import Settled
from ist_core.progress import Progress
from ist_core.records import JsonValue
from ist_core.spec import JobSpec
from ist_core.standing import Standing
from ist_core.training_state import TrainingState


def report_of(
    spec: JobSpec,
    state: TrainingState,
    progress: Progress,
    memory: PeakMemory,
    forecast: Forecast,
    *,
    model: str,
    dtype: torch.dtype,
    peak_bytes: int,
    settled: Settled | None,
    compared: Compared | None,
    data: dict[str, JsonValue],
) -> dict[str, JsonValue]:
    """Return the report of a run.

    Args:
        model: the base model's name.
        settled: what is kept of layers that were passed by; None: none were.
        compared: what both models' answers came to; None: nothing was asked.
        data: rows and hash of each file.
    """
    layers = range(len(state.layers))
    return {
        "spec": spec.model_dump(mode="json"),
        "data": data,
        "model": model,
        "device": device_name(state.device),
        "precision": str(dtype).removeprefix("torch."),
        "steps": progress.steps,
        "trained_tokens": progress.trained_tokens,
        "final_loss": progress.loss,
        "train_seconds": progress.seconds,
        "probe_seconds": progress.probe_seconds,
        "tokens_per_second": progress.trained_tokens / progress.seconds,
        "operations_per_token": forecast.operations_per_token(),
        "peak_memory_bytes": peak_bytes,
        "peak_memory_kind": memory.kind,
        "memory": forecast.report(peak_bytes, memory),
        "importance": list(state.ist.importance) if state.ist else [0.0 for _ in layers],
        "layer_updates": [progress.updates.get(layer, 0) for layer in layers],
        "settled": asdict(settled) if settled else None,
        "evaluation": _evaluation(spec, progress.standing, compared) if spec.validation_file else None,
        "versions": versions(),
    }


def _evaluation(spec: JobSpec, standing: Standing, compared: Compared | None) -> dict[str, JsonValue]:
    """Losses and accuracies before training and of the result, scores, and which step the result is of."""
    result = standing.best if spec.select_checkpoint == "best" else standing.last
    figures: dict[str, JsonValue] = {
        f"valid_{name}": {"before": before, "after": result[name]} for name, before in standing.before.items()
    }
    asked = compared or Compared(0, {}, 0.0)
    return {
        "rows": asked.rows,
        "scores": asked.scores,
        **figures,
        "best_step": standing.best_step,
        "selected": spec.select_checkpoint,
        "stopped_early": standing.stopped_early,
        "seconds": standing.seconds + asked.seconds,
    }
