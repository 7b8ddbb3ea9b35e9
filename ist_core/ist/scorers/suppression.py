"""The paper's scorer: the loss with sets of layers suppressed (equations in ist/scores.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ist_core.ist.layers import AdapterLayer
from ist_core.ist.probe import Probe, probe_loss
from ist_core.ist.sampler import LayerSampler
from ist_core.ist.scorers.scorer import ProbeReport
from ist_core.ist.scores import rewards, suppress_log_weights, updated
from ist_core.ist.suppression import suppressed


class SuppressionProbes:
    """K candidate sets of layers, each suppressed once on the same rows: K forward passes a probe."""

    def __init__(
        self,
        layers: Sequence[AdapterLayer],
        *,
        count: int,
        beta: float,
        candidates: int,
        mode: Literal["standard", "paper"],
        rate: float,
    ) -> None:
        self._layers = layers
        self._count = count
        self._beta = beta
        self._candidates = candidates
        self._mode = mode
        self._rate = rate

    def score(
        self, scores: Tensor, probe: Probe, number: int, sampler: LayerSampler
    ) -> tuple[Tensor, ProbeReport]:
        """Return the scores after probe `number`, and what it saw."""
        weights = suppress_log_weights(scores)
        candidates = sampler.draw_distinct(weights, self._count, self._candidates)
        losses = []
        for subset in candidates:
            with suppressed([self._layers[index] for index in subset], self._beta):
                losses.append(probe_loss(probe, number))
        moved = updated(scores, candidates, rewards(losses, self._mode), self._rate)
        return moved, ProbeReport(candidates=tuple(candidates), losses=tuple(losses))
