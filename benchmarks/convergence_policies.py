"""How blocks are drawn: IST's sampler, its exact inclusion probabilities, and the policies compared."""

from __future__ import annotations

from itertools import permutations
from typing import Protocol

import numpy as np

from benchmarks.convergence_problems import Array, Problem

FLOOR = 0.1
"""Share of the drawing weight spread evenly over all blocks: the default of IST's standard mode."""


def drawing_shares(weights: Array, floor: float) -> Array:
    """q_i = (1 - floor) w_i / sum w + floor / L; [R, L] -> [R, L]."""
    shares: Array = (1 - floor) * weights / weights.sum(axis=1, keepdims=True) + floor / weights.shape[1]
    return shares


def draw(shares: Array, size: int, rng: np.random.Generator) -> Array:
    """Draw `size` blocks one after the other without replacement; a 0/1 mask [R, L].

    The `size` smallest of independent exponential clocks with rates q_i have this law.
    """
    clocks = rng.exponential(size=shares.shape) / shares
    chosen = np.argpartition(clocks, size - 1, axis=1)[:, :size]
    mask = np.zeros_like(shares)
    np.put_along_axis(mask, chosen, 1.0, axis=1)
    return mask


class Inclusion:
    """Exact inclusion probabilities of `draw`, by enumerating every order in which blocks can come."""

    def __init__(self, blocks: int, size: int) -> None:
        self.orders = np.array(list(permutations(range(blocks), size)))
        left = np.ones((len(self.orders), size, blocks))
        for place in range(1, size):
            left[:, place:] *= 1 - np.eye(blocks)[self.orders[:, place - 1]][:, None, :]
        self.left = left
        """[orders, size, L]: 1 for the blocks still in the urn before each draw."""
        self.member = np.eye(blocks)[self.orders].sum(axis=1)

    def __call__(self, shares: Array) -> Array:
        """[R, L] -> [R, L], each row summing to `size`."""
        included: Array = self.orders_chance(shares) @ self.member
        return included

    def pairs(self, shares: Array) -> Array:
        """[L, L]: the chance that both blocks are drawn, for one row [1, L] of shares."""
        both: Array = self.member.T @ (self.orders_chance(shares)[0][:, None] * self.member)
        return both

    def orders_chance(self, shares: Array) -> Array:
        """[R, L] -> [R, orders]: the chance of each order."""
        chance = np.ones((len(shares), len(self.orders)))
        for place in range(self.orders.shape[1]):
            chance *= shares[:, self.orders[:, place]] / (shares @ self.left[:, place].T)
        return chance


class Policy(Protocol):
    """Gives the drawing weights of the next step from the past alone."""

    floor: float

    def weights(self, step: int, x: Array, mass: Array) -> Array:
        """Positive weights [R, L]; `mass` holds the blocks' squared gradient norms at x."""
        ...


class Uniform:
    """The control: every block alike."""

    floor = 1.0

    def weights(self, step: int, x: Array, mass: Array) -> Array:
        """All ones."""
        return np.ones_like(mass)


class Fixed:
    """Importance learned once and never again: sigmoid of the standardised log gradient mass at the start."""

    floor = FLOOR

    def __init__(self) -> None:
        self._weights: Array | None = None

    def weights(self, step: int, x: Array, mass: Array) -> Array:
        """The weights of step 0 at every step."""
        if self._weights is None:
            level = np.log(mass)
            standard = (level - level.mean(axis=1, keepdims=True)) / level.std(axis=1, keepdims=True)
            self._weights = 1 / (1 + np.exp(-2 * standard))
        return self._weights


class GradientMass:
    """Weights mass ** power: +1 is the oracle of the theory, -1 its adversary."""

    def __init__(self, power: float, floor: float) -> None:
        self.power = power
        self.floor = floor

    def weights(self, step: int, x: Array, mass: Array) -> Array:
        """Scaled to a largest weight of 1; masses below 1e-12 of the largest count as that."""
        relative = np.maximum(mass / mass.max(axis=1, keepdims=True), 1e-12) ** self.power
        scaled: Array = relative / relative.max(axis=1, keepdims=True)
        return scaled


class ProbedScores:
    """IST as published: sigmoid(s), s learned by suppressing half of the blocks (K = 3, T = 10, mu = 10)."""

    candidates, interval, suppression, rate = 3, 10, 0.25, 10.0

    def __init__(self, problem: Problem, rng: np.random.Generator, floor: float) -> None:
        self.problem = problem
        self.rng = rng
        self.floor = floor
        self.scores = np.empty((0, problem.blocks))

    def weights(self, step: int, x: Array, mass: Array) -> Array:
        """sigmoid(s) after the probe that is due at this step, if any."""
        if step == 0:
            self.scores = np.zeros_like(mass)
        elif step % self.interval == 0:
            self._probe(x)
        return 1 / (1 + np.exp(-self.scores))

    def _probe(self, x: Array) -> None:
        important = 1 / (1 + np.exp(-self.scores))
        shares = drawing_shares(1 - important, 0.0)
        half = self.problem.blocks // 2
        masks = [draw(shares, half, self.rng) for _ in range(self.candidates)]
        kept = [x * self.problem.spread(1 - (1 - self.suppression) * mask) for mask in masks]
        rewards = np.exp(-np.stack([self.problem.value(k) for k in kept]))
        rewards -= rewards.mean(axis=0)
        change = (rewards[:, :, None] * np.stack(masks)).sum(axis=0)
        self.scores = self.scores - self.rate * change * important * (1 - important)
