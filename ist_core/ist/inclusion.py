"""The chance that a draw of N among L layers takes a given layer, for both readings of the paper.

A draw takes the layers with the N best of L independent keys. With a_j(x) the chance that key j is better
than x, and f_i the density of key i:

    pi_i = integral of f_i(x) * P(at most N - 1 of the others are better than x) dx

    multinomial  key j is an exponential time of rate w_j, the earliest are best: the law of successive draws
                 without replacement (Efraimidis and Spirakis, 2006)    a_j = 1 - exp(-w_j t)
    uniform      key j is U(0, b_j), the largest are best               a_j = max(0, 1 - x / b_j)

    L  layers     N  count     w  weights     b  bounds     x  nodes of the quadrature, M of them
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

_SPREAD = 500.0
"""Log-weights further below the largest one are taken as that far."""
_LEFT, _RIGHT, _STEP = 30.0, 5.0, 0.1
"""In log t the density falls like t to the left and like exp(-t) to the right: both tails are below 1e-13."""


def multinomial_inclusion(log_weights: Tensor, count: int) -> Tensor:
    """Return each layer's chance, shape (L,), to be among `count` successive draws without replacement.

    Trapezoid rule in log t, which is accurate to about 1e-12 for such analytic, decaying integrands.
    """
    logs = (log_weights.double() - log_weights.max()).clamp_min(-_SPREAD)
    start, stop = -logs.max().item() - _LEFT, -logs.min().item() + _RIGHT
    nodes = torch.arange(start, stop, _STEP, dtype=torch.float64)
    times = torch.exp((nodes[:, None] + logs[None, :]).clamp_max(_RIGHT + 2.0))
    better = -torch.expm1(-times)
    density = times * torch.exp(-times) * _STEP
    return _integrate(better, density, count)


def uniform_inclusion(bounds: Tensor, count: int) -> Tensor:
    """Return each layer's chance, shape (L,), to be among the `count` largest of U(0, bounds_i).

    Between two neighbouring bounds the integrand is a polynomial of degree below L: Gauss-Legendre with L / 2
    nodes is exact, and 24 are enough for 1e-12 at any L.
    """
    bounds = bounds.double()
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), torch.unique(bounds)])
    points, weights = _gauss(min(math.ceil(len(bounds) / 2), 24))
    widths = edges.diff()
    nodes = (edges[:-1, None] + widths[:, None] * points[None, :]).flatten()
    measure = (widths[:, None] * weights[None, :]).flatten()
    better = (1.0 - nodes[:, None] / bounds[None, :]).clamp_min(0.0)
    density = (nodes[:, None] < bounds[None, :]) * measure[:, None] / bounds[None, :]
    return _integrate(better, density, count)


def _integrate(better: Tensor, density: Tensor, count: int) -> Tensor:
    """Sum over the nodes: density_i * P(at most count - 1 of the others are better); both (M, L)."""
    layers = better.shape[1]
    if count == layers:
        return torch.ones(layers, dtype=torch.float64)
    below = _counts(better, count)
    above = [item.cumsum(dim=1) for item in reversed(_counts(better.flip(1), count))]
    chances = []
    for index in range(layers):
        # How many before layer i are better, and at most how many after it may then be.
        few = (below[index] * above[index + 1].flip(1)).sum(dim=1)
        chances.append((density[:, index] * few).sum())
    return torch.stack(chances)


def _counts(better: Tensor, count: int) -> list[Tensor]:
    """Return for each prefix of the layers the chances (M, count) that 0 .. count - 1 of them are better."""
    now = torch.zeros(better.shape[0], count, dtype=torch.float64)
    now[:, 0] = 1.0
    prefixes = [now]
    for index in range(better.shape[1]):
        hit = better[:, index, None]
        moved = now * (1.0 - hit)
        moved[:, 1:] += now[:, :-1] * hit
        now = moved
        prefixes.append(now)
    return prefixes


@cache
def _gauss(nodes: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((points + 1.0) / 2.0), torch.from_numpy(weights / 2.0)
