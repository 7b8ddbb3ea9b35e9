"""The checks of docs/convergence.md, one function a statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.convergence_policies import (
    FLOOR,
    Fixed,
    GradientMass,
    Inclusion,
    Policy,
    ProbedScores,
    Uniform,
    draw,
    drawing_shares,
)
from benchmarks.convergence_problems import Array, Problem
from benchmarks.convergence_report import Mean, Report
from benchmarks.convergence_runs import Trajectory, descend


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the check is."""

    blocks: int = 8
    size: int = 2
    width: int = 3
    steps: int = 600
    runs: int = 64
    samples: int = 40_000
    """Independent single steps or draws where a frequency or a one-step mean is measured."""


def policies(problem: Problem, rng: np.random.Generator) -> dict[str, Callable[[], Policy]]:
    """The policies compared; each run makes its own, because some keep state."""
    return {
        "uniform": Uniform,
        "ist": lambda: ProbedScores(problem, rng, FLOOR),
        "ist, no floor": lambda: ProbedScores(problem, rng, 0.0),
        "fixed": Fixed,
        "oracle": lambda: GradientMass(1.0, FLOOR),
        "adversary": lambda: GradientMass(-1.0, FLOOR),
        "adversary, no floor": lambda: GradientMass(-1.0, 0.0),
    }


def check_sampler(report: Report, sizes: Sizes, rng: np.random.Generator) -> None:
    """Enumerated inclusion probabilities against frequencies, and Lemma 1's floor."""
    inclusion = Inclusion(sizes.blocks, sizes.size)
    shares = drawing_shares(rng.dirichlet(np.full(sizes.blocks, 0.5), size=1) + 1e-6, FLOOR)
    drawn = draw(np.repeat(shares, sizes.samples, axis=0), sizes.size, rng)
    for block, chance in enumerate(inclusion(shares)[0]):
        report.equal("sampler", "ist", f"inclusion of block {block}", float(chance), Mean.of(drawn[:, block]))
    spiky = rng.dirichlet(np.full(sizes.blocks, 0.05), size=2000) + 1e-12
    least = float(inclusion(drawing_shares(spiky, FLOOR)).min())
    floor = FLOOR * sizes.size / sizes.blocks
    report.at_least("sampler", "ist", "Lemma 1: least inclusion >= floor N/L", floor, least)


def check_bounds(
    report: Report, problem: Problem, name: str, run: Trajectory, *, rate: float, least: float
) -> None:
    """Theorem 1 and Theorem 2 without noise; `least` is p_min, 0 where there is no floor."""
    steps, first = len(run.mass), float(run.excess[0, 0])
    bound = 2 * first / (rate * steps)
    mean = Mean.of(run.selected_mass.mean(axis=0))
    report.at_most(problem.name, name, "Theorem 1: mean selected gradient mass", bound, mean)
    if least > 0:
        lowest = int(run.mass.mean(axis=1).argmin())
        report.at_most(
            problem.name, name, "Theorem 1: least gradient mass", bound / least, Mean.of(run.mass[lowest])
        )
    if problem.pl is None:
        return
    if least > 0:
        for step in (steps // 20, steps // 4, steps):
            linear = first * (1 - rate * problem.pl * least) ** step
            report.at_most(
                problem.name, name, f"Theorem 2: excess at {step}", linear, Mean.of(run.excess[step])
            )
    # Stopped at a quarter: later factors reach the rounding error of f.
    quarter = steps // 4
    ratio = run.selected_mass[:quarter] / run.mass[:quarter]
    inflated = run.excess[quarter] / np.prod(1 - rate * problem.pl * ratio, axis=0)
    report.at_most(problem.name, name, f"Theorem 2': inflated excess at {quarter}", first, Mean.of(inflated))


def check_advantage(
    report: Report, problem: Problem, sizes: Sizes, smoothness: float, rng: np.random.Generator
) -> None:
    """One short step: the decrease against uniform draws is rho, up to (1 + a) / (1 - a), a = eta V / 2."""
    inclusion, rate = Inclusion(sizes.blocks, sizes.size), 0.02 / smoothness
    start = np.zeros((1, problem.blocks * problem.width))
    gradient = problem.gradient(start)
    mass = problem.block_mass(gradient)
    uniform = sizes.size / sizes.blocks * float(mass.sum())
    for name in ("fixed", "oracle", "adversary"):
        policy = policies(problem, rng)[name]()
        shares = drawing_shares(policy.weights(0, start, mass), policy.floor)
        advantage = float((inclusion(shares) * mass).sum()) / uniform
        tolerance = (1 + rate * smoothness / 2) / (1 - rate * smoothness / 2) - 1
        gains = [
            _one_step(problem, s, sizes, rate, rng)
            for s in (shares, np.full_like(shares, 1 / problem.blocks))
        ]
        ratio = gains[0].value / gains[1].value
        error = ratio * float(np.hypot(gains[0].error / gains[0].value, gains[1].error / gains[1].value))
        report.equal(problem.name, name, "rho of the first step", advantage, Mean(ratio, error), tolerance)


def _one_step(problem: Problem, shares: Array, sizes: Sizes, rate: float, rng: np.random.Generator) -> Mean:
    start = np.zeros((1, problem.blocks * problem.width))
    mask = draw(np.repeat(shares, sizes.samples, axis=0), sizes.size, rng)
    after = problem.value(-rate * problem.spread(mask) * problem.gradient(start))
    return Mean.of(problem.value(start)[0] - after)


def check_exact(
    report: Report, problem: Problem, sizes: Sizes, rate: float, rng: np.random.Generator
) -> None:
    """Without coupling and with constant pi, mean and variance of f are known at every step.

    The standard error is the exact one: the sample's own is far too small for so skewed a quantity.
    """
    start = np.zeros((1, problem.blocks * problem.width))
    mass = problem.block_mass(problem.gradient(start))
    curvature = np.diag(problem.hessian_bound)[:: problem.width]
    excess, shrink = mass[0] / (2 * curvature), 1 - (1 - rate * curvature) ** 2
    inclusion, runs = Inclusion(sizes.blocks, sizes.size), sizes.samples // 20
    steps = (5, 15, 30)
    for name, make in (("uniform", Uniform), ("fixed", Fixed)):
        shares = drawing_shares(make().weights(0, start, mass), make.floor)
        single, pairs = inclusion(shares)[0] * shrink, inclusion.pairs(shares) * np.outer(shrink, shrink)
        run = descend(
            problem, make(), inclusion, size=sizes.size, rate=rate, steps=max(steps), runs=runs, rng=rng
        )
        for step in steps:
            expected = float((excess * (1 - single) ** step).sum())
            square = np.outer(excess, excess) * (1 - single[:, None] - single[None, :] + pairs) ** step
            error = float(np.sqrt((square.sum() - expected**2) / runs))
            measured = Mean(float(run.excess[step].mean()), error)
            report.equal(problem.name, name, f"section 5: exact excess at {step}", expected, measured)


def check_noise(
    report: Report, problem: Problem, sizes: Sizes, smoothness: float, rng: np.random.Generator
) -> None:
    """Theorems 1 and 2 with gradient noise of known variance in every block."""
    sigma, rate, inclusion = 0.2, 0.5 / smoothness, Inclusion(sizes.blocks, sizes.size)
    for name in ("uniform", "ist", "oracle", "adversary"):
        policy = policies(problem, rng)[name]()
        run = descend(
            problem,
            policy,
            inclusion,
            size=sizes.size,
            rate=rate,
            steps=sizes.steps,
            runs=sizes.runs,
            rng=rng,
            noise=sigma,
        )
        first, variance = float(run.excess[0, 0]), sizes.size * smoothness * sigma**2
        bound = 2 * first / (rate * sizes.steps) + rate * variance
        mean = Mean.of(run.selected_mass.mean(axis=0))
        report.at_most(problem.name, name, "Theorem 1, noise: mean selected mass", bound, mean)
        least = policy.floor * sizes.size / sizes.blocks
        strength = problem.pl if problem.pl is not None else 0.0
        contraction = (1 - rate * strength * least) ** sizes.steps
        ball = contraction * first + rate * variance / (2 * strength * least) * (1 - contraction)
        report.at_most(problem.name, name, "Theorem 2, noise: last excess", ball, Mean.of(run.excess[-1]))


def check_starvation(report: Report, sizes: Sizes, rng: np.random.Generator) -> None:
    """Section 6's example: f = (x_1^2 + x_2^2) / 2, N = 1, block 2 drawn with weight exp(-t)."""
    rate, steps, runs = 0.5, 100, sizes.samples
    weight = np.exp(-np.arange(steps, dtype=np.float64))
    for name, floor in (("starving, no floor", 0.0), ("starving", FLOOR)):
        share = (1 - floor) * weight / (1 + weight) + floor / 2
        for step in (20, 100):
            exact = float(np.prod(1 - share[:step] * (1 - (1 - rate) ** 2))) / 2
            square = float(np.prod(1 - share[:step] * (1 - (1 - rate) ** 4))) / 4
            hits = (rng.random((runs, step)) < share[:step]).sum(axis=1)
            left = (1 - rate) ** (2.0 * hits) / 2
            measured = Mean(float(left.mean()), float(np.sqrt((square - exact**2) / runs)))
            report.equal("two blocks", name, f"exact excess of block 2 at {step}", exact, measured)
            if floor:
                linear = 0.5 * (1 - rate * floor / 2) ** step
                report.at_most("two blocks", name, f"Theorem 2: block 2 at {step}", linear, measured)
    score, drift, turns = 0.0, 1.0, 20_000
    for _ in range(turns):
        chance = 1 / (1 + np.exp(-score))
        score -= drift * chance * (1 - chance)
    weight_left = turns / (1 + np.exp(-score))
    report.equal(
        "two blocks",
        "damped scores",
        "t * weight -> 1 / drift",
        1 / drift,
        Mean(float(weight_left), 0.0),
        0.01,
    )
