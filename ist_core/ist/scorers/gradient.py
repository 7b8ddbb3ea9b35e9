"""Scores from training itself: how large each layer's gradient is. No probe, no held-out example, no cost.

An optimizer of Adam's kind moves every parameter by about the learning rate, against its gradient's sign. To
first order layer i thereby takes off the loss, in one step,

    - <g_i, update_i> ~ lr * ||g_i||_1

which is its share in Loss Change Allocation (Lan et al., 2019, arXiv 1909.01440); AutoFreeze, too, freezes by
gradients' norms (Liu et al., 2021, arXiv 2102.01386). From one update of the scores to the next, with m the
mean norm of the layers that a step updates:

    x_i = mean of ||g_i||_1 / m over the steps that updated layer i
    reward     r_i = GAIN * (mean_j x_j - x_i) / sqrt(var_j x_j + NOISE^2)
    update     s_i <- s_i - mu * r_i * sigmoid(s_i) * (1 - sigmoid(s_i))     for the layers that were updated

    s  scores     g_i  gradient of layer i's adapters     mu  score_rate
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from ist_core.errors import TrainingDiverged
from ist_core.ist.layers import AdapterLayer
from ist_core.ist.scores import standardised, updated


class GradientState(TypedDict):
    """What was seen since the scores moved last; plain JSON."""

    norms: list[float]
    steps: list[int]


class GradientNorms:
    """Looks at the gradients of each step before the optimizer takes them."""

    def __init__(self, layers: Sequence[AdapterLayer], *, rate: float) -> None:
        self._layers = layers
        self._rate = rate
        self._forget()

    def see(self, active: Sequence[int]) -> None:
        """Take the norms of a step that updates the layers at these positions."""
        norms = torch.stack([self._norm(self._layers[index]) for index in active]).double()
        shares = norms / norms.mean().clamp_min(torch.finfo(torch.float64).tiny)
        for index, share in zip(active, shares.tolist(), strict=True):
            self._norms[index] += share
            self._steps[index] += 1

    def moved(self, scores: Tensor) -> Tensor:
        """Return the scores after what was seen since the last call, which is forgotten.

        Raises:
            TrainingDiverged: if a gradient was not finite.
        """
        seen = [index for index, steps in enumerate(self._steps) if steps]
        if len(seen) < 2:
            return scores
        evidence = torch.tensor([self._norms[i] / self._steps[i] for i in seen], dtype=torch.float64)
        self._forget()
        if not bool(evidence.isfinite().all()):
            raise TrainingDiverged("a gradient is not finite; lower learning_rate")
        return updated(scores, [(index,) for index in seen], standardised(evidence), self._rate)

    def state_dict(self) -> GradientState:
        """Return what the next scores depend on."""
        return {"norms": list(self._norms), "steps": list(self._steps)}

    def load_state_dict(self, state: GradientState) -> None:
        """Continue where the state was taken."""
        self._norms, self._steps = list(state["norms"]), list(state["steps"])

    @staticmethod
    def _norm(layer: AdapterLayer) -> Tensor:
        found = [parameter.grad for parameter in layer.parameters if parameter.grad is not None]
        return torch.nn.utils.get_total_norm(found, norm_type=1.0)

    def _forget(self) -> None:
        self._norms, self._steps = [0.0] * len(self._layers), [0] * len(self._layers)
