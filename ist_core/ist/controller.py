"""Decides which layers are updated in a step, and learns from probes which layers matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch

from ist_core.errors import IstError
from ist_core.ist.layers import AdapterLayer
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scores import rewards, suppress_log_weights, update_log_weights, updated
from ist_core.ist.suppression import suppressed
from ist_core.spec import IstSpec


class IstState(TypedDict):
    """What `IST.state_dict` returns: all that later draws and scores depend on."""

    scores: torch.Tensor
    sampler: dict[str, torch.Tensor]
    active: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one probe saw: the suppressed layers of each candidate, and their losses."""

    candidates: tuple[tuple[int, ...], ...]
    losses: tuple[float, ...]


class IST:
    """Importance-aware Sparse Tuning of adapter layers; knows layers and a loss callable, no trainer.

    Call `select(step)` before each optimizer step (never inside gradient accumulation), and `probe(loss)`
    where `probe_due(step)`; `step` counts the optimizer steps already made.

    Raises:
        IstError: if the model has too few layers to choose among.
    """

    def __init__(self, layers: Sequence[AdapterLayer], spec: IstSpec, *, total_steps: int, seed: int) -> None:
        if len(layers) < 2:
            reason = f"sparse tuning chooses among layers, and this model has {len(layers)}"
            raise IstError(f"{reason}; set ist to null to train it whole")
        self._layers = tuple(layers)
        self._spec = spec
        self._sampler = LayerSampler(seed)
        self._scores = torch.zeros(len(layers), dtype=torch.float64)
        self._active: tuple[int, ...] = tuple(range(len(layers)))
        self.update_count = max(1, math.floor(spec.update_fraction * len(layers)))
        self.suppress_count = min(len(layers) - 1, max(1, math.floor(spec.suppress_fraction * len(layers))))
        self.warmup_steps = _warmup_steps(spec, total_steps)

    @property
    def importance(self) -> tuple[float, ...]:
        """One score a layer; higher is more important."""
        return tuple(self._scores.tolist())

    @property
    def active(self) -> tuple[int, ...]:
        """The layers that the last `select` left trainable, ascending."""
        return self._active

    def probe_due(self, step: int) -> bool:
        """Whether importance is probed before the step that follows `step` finished ones."""
        return step > 0 and step % self._spec.probe_interval == 0

    def select(self, step: int) -> tuple[int, ...]:
        """Draw the layers to update in the step that follows `step` finished ones; freeze all others."""
        if step < self.warmup_steps:
            self._active = tuple(range(len(self._layers)))
        else:
            floor = self._spec.floor if self._spec.mode == "standard" else 0.0
            weights = update_log_weights(self._scores, floor=floor)
            self._active = self._sampler.draw(weights, self.update_count)
        self._apply()
        return self._active

    def probe(self, loss: Callable[[], float]) -> Probe:
        """Move the scores by what suppressing K sets of layers does to `loss`.

        Args:
            loss: the mean loss on one fixed probe batch, forward only, without dropout; called up to K times.
        """
        weights = suppress_log_weights(self._scores)
        candidates = self._sampler.draw_distinct(weights, self.suppress_count, self._spec.candidates)
        losses = []
        for subset in candidates:
            with suppressed([self._layers[index] for index in subset], self._spec.suppression):
                losses.append(loss())
        reward = rewards(losses, self._spec.mode)
        self._scores = updated(self._scores, candidates, reward, self._spec.score_rate)
        return Probe(tuple(candidates), tuple(losses))

    def state_dict(self) -> IstState:
        """Return all that later draws and scores depend on."""
        return {"scores": self._scores.clone(), "sampler": self._sampler.state_dict(), "active": self._active}

    def load_state_dict(self, state: IstState) -> None:
        """Continue exactly where the state was taken; the layers are frozen as they were then."""
        self._scores = state["scores"].clone()
        self._sampler.load_state_dict(state["sampler"])
        self._active = tuple(state["active"])
        self._apply()

    def _apply(self) -> None:
        chosen = set(self._active)
        for index, layer in enumerate(self._layers):
            for parameter in layer.parameters:
                parameter.requires_grad_(index in chosen)


def _warmup_steps(spec: IstSpec, total_steps: int) -> int:
    if spec.mode == "paper":
        return 0
    return math.ceil(total_steps / 10) if spec.warmup_steps == "auto" else spec.warmup_steps
