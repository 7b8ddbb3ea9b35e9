"""Test problems of L parameter blocks whose smoothness and PL constants are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """Minimise f over `blocks` blocks of `width` numbers each; runs are batched in the first axis."""

    name: str
    blocks: int
    width: int
    value: Callable[[Array], Array]
    """[R, blocks * width] -> [R]."""
    gradient: Callable[[Array], Array]
    """[R, blocks * width] -> [R, blocks * width]."""
    hessian_bound: Array
    """A matrix H with -H <= hessian of f <= H everywhere, in the order of symmetric matrices."""
    minimum: float
    """f*, or a lower bound of it where `pl` is None."""
    pl: float | None
    """mu of the Polyak-Lojasiewicz inequality; None where none is known."""

    def block_mass(self, gradient: Array) -> Array:
        """[R, blocks]: the squared norm of each block's gradient."""
        mass: Array = np.square(gradient).reshape(len(gradient), self.blocks, self.width).sum(axis=2)
        return mass

    def spread(self, per_block: Array) -> Array:
        """[R, blocks] -> [R, blocks * width]: one number a block, repeated over its coordinates."""
        return np.repeat(per_block, self.width, axis=1)

    def subset_smoothness(self, size: int) -> float:
        """V: the largest curvature over all sets of `size` blocks, by enumeration."""
        columns = np.arange(self.blocks * self.width).reshape(self.blocks, self.width)
        chosen = (columns[list(subset)].ravel() for subset in combinations(range(self.blocks), size))
        return float(max(np.linalg.eigvalsh(self.hessian_bound[np.ix_(c, c)])[-1] for c in chosen))


def _target(rng: np.random.Generator, blocks: int, width: int, decay: float) -> Array:
    """A solution whose blocks shrink by `decay` from one to the next, in shuffled order."""
    scale = decay ** rng.permutation(blocks)
    target: Array = (rng.standard_normal((blocks, width)) * scale[:, None]).ravel()
    return target


def _quadratic(name: str, matrix: Array, target: Array, blocks: int) -> Problem:
    """f(x) = (x - x*)' M (x - x*) / 2, scaled so that f(0) = 1."""
    matrix = matrix * 2.0 / float(target @ matrix @ target)

    def value(x: Array) -> Array:
        offset = x - target
        half: Array = np.einsum("ri,ij,rj->r", offset, matrix, offset, optimize=True) / 2
        return half

    def gradient(x: Array) -> Array:
        slope: Array = (x - target) @ matrix
        return slope

    smallest = float(np.linalg.eigvalsh(matrix)[0])
    return Problem(name, blocks, len(target) // blocks, value, gradient, matrix, 0.0, smallest)


def separable(rng: np.random.Generator, blocks: int, width: int) -> Problem:
    """A quadratic without coupling; block curvatures 1 to 4."""
    curvature = np.repeat(rng.permutation(np.linspace(1.0, 4.0, blocks)), width)
    return _quadratic("separable", np.diag(curvature), _target(rng, blocks, width, 0.6), blocks)


def coupled(rng: np.random.Generator, blocks: int, width: int) -> Problem:
    """A quadratic whose blocks interact through a random dense matrix."""
    size = blocks * width
    factor = rng.standard_normal((2 * size, size))
    matrix = factor.T @ factor / (2 * size) + 0.1 * np.eye(size)
    return _quadratic("coupled", matrix, _target(rng, blocks, width, 0.6), blocks)


def logistic(rng: np.random.Generator, blocks: int, width: int) -> Problem:
    """Ridge-regularised logistic regression (convex); f* by Newton's method."""
    size, rows, ridge = blocks * width, 8 * blocks * width, 0.1
    features = rng.standard_normal((rows, size))
    signs = np.where(
        features @ (6 * _target(rng, blocks, width, 0.6)) + rng.logistic(size=rows) > 0, 1.0, -1.0
    )
    signed = features * signs[:, None]

    def value(x: Array) -> Array:
        penalty: Array = ridge / 2 * np.square(x).sum(axis=1)
        loss: Array = np.logaddexp(0.0, -(x @ signed.T)).mean(axis=1)
        return loss + penalty

    def gradient(x: Array) -> Array:
        slope: Array = ridge * x - (1 / (1 + np.exp(x @ signed.T))) @ signed / rows
        return slope

    best = np.zeros((1, size))
    for _ in range(30):
        chance = 1 / (1 + np.exp(-(best @ signed.T)[0]))
        hessian = (signed.T * (chance * (1 - chance))) @ signed / rows + ridge * np.eye(size)
        best = best - np.linalg.solve(hessian, gradient(best)[0])
    bound = signed.T @ signed / (4 * rows) + ridge * np.eye(size)
    return Problem("logistic", blocks, width, value, gradient, bound, float(value(best)[0]), ridge)


def robust(rng: np.random.Generator, blocks: int, width: int) -> Problem:
    """Regression with the Cauchy loss log(1 + r^2) / 2: not convex, second derivative in [-1/8, 1]."""
    size, rows = blocks * width, 4 * blocks * width
    features = rng.standard_normal((rows, size))
    wanted = features @ (4 * _target(rng, blocks, width, 0.6)) + rng.standard_cauchy(rows)

    def value(x: Array) -> Array:
        loss: Array = np.log1p(np.square(x @ features.T - wanted)).mean(axis=1) / 2
        return loss

    def gradient(x: Array) -> Array:
        residual = x @ features.T - wanted
        slope: Array = (residual / (1 + np.square(residual))) @ features / rows
        return slope

    return Problem("nonconvex", blocks, width, value, gradient, features.T @ features / rows, 0.0, None)
