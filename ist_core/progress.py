"""How far a run is: the counters that its records, its checkpoints and its report are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ist_core.ist import IstRecord
from ist_core.records import StepRecord
from ist_core.standing import Standing
from ist_core.stepper import StepOutcome


@dataclass(slots=True)
class Progress:
    """Counts a run's finished steps, over all the times it was stopped and resumed; plain JSON."""

    steps: int = 0
    trained_tokens: int = 0
    loss: float = math.nan
    """Of the latest step."""
    seconds: float = 0.0
    """From the first step on, without measurements and the time between a stop and the resumption."""
    probe_seconds: float = 0.0
    peak_memory_bytes: int = 0
    updates: dict[int, int] = field(default_factory=dict)
    """How often each layer was updated; a layer that never was is left out."""
    standing: Standing = field(default_factory=Standing)
    untold: StepRecord | None = None
    """The latest step's, if the run was stopped before what is to be measured after it was measured."""

    def count(
        self, outcome: StepOutcome, *, layers: int, step_seconds: float, steps_per_epoch: int
    ) -> dict[str, float]:
        """Add a finished step; return its metrics as a step record holds them."""
        self.steps += 1
        self.trained_tokens += outcome.tokens
        self.loss = outcome.loss
        for layer in active_layers(outcome, layers):
            self.updates[layer] = self.updates.get(layer, 0) + 1
        metrics = {
            "loss": outcome.loss,
            "learning_rate": outcome.learning_rate,
            "grad_norm": outcome.grad_norm,
            "epoch": self.steps / steps_per_epoch,
            "tokens": float(outcome.tokens),
            "trained_tokens": float(self.trained_tokens),
            "tokens_per_second": outcome.tokens / step_seconds,
            "step_seconds": step_seconds,
            "memory_bytes": float(self.peak_memory_bytes),
            **_ist_metrics(outcome.ist, layers),
            **outcome.extra,
        }
        self.probe_seconds += metrics["probe_seconds"]
        return metrics


def active_layers(outcome: StepOutcome, layers: int) -> tuple[int, ...]:
    """Return the positions of the layers that a step updated, ascending; without IST all of them."""
    return outcome.ist.active if outcome.ist else tuple(range(layers))


def _ist_metrics(told: IstRecord | None, layers: int) -> dict[str, float]:
    """Return what a step record says of IST; without IST every layer is updated in every step."""
    if told is None:
        whole = {"entropy": 1.0, "backward_depth": float(layers)}
        return {"ist_seconds": 0.0, "probe_seconds": 0.0, "ist_bytes": 0.0, **whole}
    metrics = {
        "ist_seconds": told.seconds,
        "probe_seconds": told.probe_seconds,
        "ist_bytes": float(told.bytes),
        "entropy": told.entropy,
        "backward_depth": float(told.backward_depth),
    }
    if told.probe and told.probe.losses:
        metrics["probe_loss"] = sum(told.probe.losses) / len(told.probe.losses)
    return metrics
