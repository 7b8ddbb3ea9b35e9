"""Selection of whole runs of neighbouring layers, by the importance of what is in them.

A selection is one run of N layers, or two that do not overlap (of ceil(N / 2) and floor(N / 2) layers, in
either order). Selection S is drawn with

    weight_S = (1 - f) * m_S / sum m + f / number of selections,    m_S = mean of sigmoid(s_i) over S

Runs keep the lowest updated layer higher up than single layers do, so the backward pass is shorter (see
docs/ist.md). Layers at the ends are in fewer runs, but in some: none starves.

    s  scores     N  count     L  layers     f  floor
"""

from __future__ import annotations

import torch
from torch import Tensor

from ist_core.ist.sampler import LayerSampler


class Contiguous:
    """Draws one or two runs that hold `count` layers together."""

    hold = 1
    settles = False

    def __init__(self, layers: int, count: int, *, runs: int, floor: float) -> None:
        self._floor = floor
        selections = _one_run(layers, count) if runs == 1 or count < 2 else _two_runs(layers, count)
        self._selections = selections
        self._member = torch.zeros(len(selections), layers, dtype=torch.float64)
        for row, selection in enumerate(selections):
            self._member[row, list(selection)] = 1.0

    def draw(self, scores: Tensor, sampler: LayerSampler) -> tuple[int, ...]:
        """Return the layers of one selection."""
        return self._selections[sampler.pick(self._shares(scores).tolist())]

    def inclusion(self, scores: Tensor) -> Tensor:
        """Return each layer's chance."""
        return self._shares(scores) @ self._member

    def _shares(self, scores: Tensor) -> Tensor:
        """Return the chance of each selection; their sum is 1."""
        mass = self._member @ torch.sigmoid(scores)
        return (1.0 - self._floor) * mass / mass.sum() + self._floor / len(mass)


def _one_run(layers: int, count: int) -> list[tuple[int, ...]]:
    return [tuple(range(start, start + count)) for start in range(layers - count + 1)]


def _two_runs(layers: int, count: int) -> list[tuple[int, ...]]:
    """Return every pair of runs that do not overlap, each set of layers once; runs that touch are one run."""
    long, short = count - count // 2, count // 2
    found = set()
    for lower, upper in ((long, short), (short, long)):
        for start in range(layers - count + 1):
            for second in range(start + lower, layers - upper + 1):
                found.add((*range(start, start + lower), *range(second, second + upper)))
    return sorted(found)
