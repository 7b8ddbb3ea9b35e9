"""Runs of sparse gradient descent, many seeds at once, with what the theory speaks about recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.convergence_policies import Inclusion, Policy, draw, drawing_shares
from benchmarks.convergence_problems import Array, Problem


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What `descend` saw: T steps of R independent runs."""

    excess: Array
    """[T + 1, R]: f(x_t) - f*."""
    mass: Array
    """[T, R]: the squared gradient norm before each step."""
    selected_mass: Array
    """[T, R]: the sum over blocks of pi_i |g_i|^2, with the exact pi."""
    least_inclusion: float
    """The smallest pi of any block, step and run."""

    def advantage(self, share: float) -> Array:
        """rho_t [T, R]: selected mass over that of uniform draws, whose pi is `share` = N / L."""
        return self.selected_mass / (share * self.mass)

    def steps_to(self, fraction: float) -> int | None:
        """Steps until the mean excess is at most `fraction` of the first; None: not reached."""
        mean = self.excess.mean(axis=1)
        reached = np.flatnonzero(mean <= fraction * mean[0])
        return int(reached[0]) if len(reached) else None


def descend(
    problem: Problem,
    policy: Policy,
    inclusion: Inclusion,
    *,
    size: int,
    rate: float,
    steps: int,
    runs: int,
    rng: np.random.Generator,
    noise: float = 0.0,
) -> Trajectory:
    """x_i <- x_i - rate * (g_i + noise) for the drawn blocks, from x = 0, without reweighting.

    `noise` is sigma: each block's gradient noise is Gaussian with E|noise_i|^2 = sigma^2.
    """
    x = np.zeros((runs, problem.blocks * problem.width))
    excess, mass, selected, least = [problem.value(x) - problem.minimum], [], [], 1.0
    for step in range(steps):
        gradient = problem.gradient(x)
        blocks = problem.block_mass(gradient)
        shares = drawing_shares(policy.weights(step, x, blocks), policy.floor)
        chance = inclusion(shares)
        mask = problem.spread(draw(shares, size, rng))
        mass.append(blocks.sum(axis=1))
        selected.append((chance * blocks).sum(axis=1))
        least = min(least, float(chance.min()))
        if noise:
            gradient = gradient + rng.normal(scale=noise / np.sqrt(problem.width), size=x.shape)
        x = x - rate * mask * gradient
        excess.append(problem.value(x) - problem.minimum)
    return Trajectory(np.array(excess), np.array(mass), np.array(selected), least)
