"""What IST knows and decides without a model: scores, draws, and when either is due."""

from __future__ import annotations

import math
from typing import NotRequired, TypedDict

import torch

from ist_core.errors import IstError
from ist_core.ist.policies import make_policy
from ist_core.ist.probe import Probe
from ist_core.ist.sampler import STATE_BYTES, LayerSampler
from ist_core.ist.scorers import GradientNorms, GradientState, ProbeReport, Scorer
from ist_core.spec import IstSpec

_VERSION = 1


class IstState(TypedDict):
    """All that later draws and scores depend on; plain JSON."""

    version: int
    step: int
    probes: int
    scores: list[float]
    active: list[int]
    held_until: int
    sampler: str
    gradients: NotRequired[GradientState]
    """With the scorer `gradient` alone."""


class Selection:
    """The scores of `layers` layers and which of them are active, from step to step."""

    def __init__(self, spec: IstSpec, *, layers: int, seed: int) -> None:
        self.count = max(1, math.floor(spec.update_fraction * layers))
        """How many layers a selection holds."""
        self.step = 0
        """Optimizer steps finished."""
        self.active: tuple[int, ...] = tuple(range(layers))
        self.settled = False
        """Whether all later selections are the latest one."""
        self._spec = spec
        self._layers = layers
        self._policy = make_policy(spec, layers=layers, count=self.count)
        self._sampler = LayerSampler(seed)
        self._scores = torch.zeros(layers, dtype=torch.float64)
        self._probabilities: tuple[float, ...] | None = None
        self._probes = self._held_until = 0

    @property
    def scores(self) -> tuple[float, ...]:
        """One a layer; higher is more important."""
        return tuple(self._scores.tolist())

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Each layer's chance to be in a selection drawn from the scores; once settled, 1 or 0."""
        if self.settled:
            return tuple(float(index in self.active) for index in range(self._layers))
        if self._probabilities is None:
            self._probabilities = tuple(self._policy.inclusion(self._scores).tolist())
        return self._probabilities

    @property
    def bytes(self) -> int:
        """What the scores and the sampler take."""
        return self._scores.numel() * self._scores.element_size() + STATE_BYTES

    def scores_move(self, *, warmup_steps: int) -> bool:
        """Whether the scores move before the next step: now and then, and before a last selection."""
        last = self._policy.settles and self.step == warmup_steps
        due = last or self.step % self._spec.probe_interval == 0
        return self._spec.uses_scores and self.step > 0 and due

    def learn(self, gradients: GradientNorms) -> None:
        """Move the scores by what training has shown since they moved last."""
        self._scores = gradients.moved(self._scores)
        self._probabilities = None

    def score(self, scorer: Scorer, probe: Probe) -> ProbeReport:
        """Move the scores by what `scorer` sees in the next probe."""
        self._scores, report = scorer.score(self._scores, probe, self._probes, self._sampler)
        self._probes += 1
        self._probabilities = None
        return report

    def select(self, *, warmup_steps: int) -> tuple[int, ...]:
        """Return the layers of the next step, ascending: all in the warm-up, else drawn, or still held."""
        self.settled = self._policy.settles and self.step >= warmup_steps
        if self.step < warmup_steps:
            self.active = tuple(range(self._layers))
        elif self.step >= self._held_until:
            self.active = self._policy.draw(self._scores, self._sampler)
            hold = self._policy.hold if self._spec.hold == "auto" else self._spec.hold
            self._held_until = self.step + hold
        return self.active

    def state_dict(self) -> IstState:
        """Return all that later draws and scores depend on."""
        return {
            "version": _VERSION,
            "step": self.step,
            "probes": self._probes,
            "scores": self._scores.tolist(),
            "active": list(self.active),
            "held_until": self._held_until,
            "sampler": self._sampler.state_dict(),
        }

    def load_state_dict(self, state: IstState) -> None:
        """Continue where the state was taken.

        Raises:
            IstError: if the state is of another version, or of a model with another number of layers.
        """
        if state["version"] != _VERSION or len(state["scores"]) != self._layers:
            found = f"version {state['version']} and {len(state['scores'])} layers"
            raise IstError(
                f"the IST state has {found}, and this run version {_VERSION} and {self._layers} layers"
            )
        self._scores = torch.tensor(state["scores"], dtype=torch.float64)
        self._probabilities = None
        self.active = tuple(state["active"])
        self.step, self._probes, self._held_until = state["step"], state["probes"], state["held_until"]
        self._sampler.load_state_dict(state["sampler"])
        self.settled = self._policy.settles and self._held_until > self.step
