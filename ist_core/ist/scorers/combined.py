"""Suppression probes and gate gradients together: the mean of what each would make of the scores."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ist_core.ist.probe import Probe
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers.gate import GateGradients
from ist_core.ist.scorers.scorer import ProbeReport
from ist_core.ist.scorers.suppression import SuppressionProbes


class Combined:
    """Gate gradients see every layer at first order; suppression sees few sets, with all their interplay."""

    def __init__(self, probes: SuppressionProbes, gates: GateGradients) -> None:
        self._probes = probes
        self._gates = gates

    def score(
        self, scores: Tensor, probe: Probe, number: int, sampler: LayerSampler
    ) -> tuple[Tensor, ProbeReport]:
        """Return the scores after probe `number`, and what it saw."""
        suppressed, report = self._probes.score(scores, probe, number, sampler)
        gated, seen = self._gates.score(scores, probe, number, sampler)
        both = replace(report, effects=seen.effects, tensor_bytes=seen.tensor_bytes)
        return (suppressed + gated) / 2.0, both
