"""Checks the rates of docs/convergence.md where every constant is known: `python -m benchmarks.convergence`.

Prints one line a check, writes benchmarks/results/convergence.json, exits 1 when a prediction fails.
A bound holds when the measured mean is at most the bound plus 4 standard errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.convergence_checks import (
    Sizes,
    check_advantage,
    check_bounds,
    check_exact,
    check_noise,
    check_sampler,
    check_starvation,
    policies,
)
from benchmarks.convergence_policies import Inclusion
from benchmarks.convergence_problems import Problem, coupled, logistic, robust, separable
from benchmarks.convergence_report import Report, table
from benchmarks.convergence_runs import Trajectory, descend

RESULTS = Path(__file__).parent / "results" / "convergence.json"


def compare(report: Report, problem: Problem, runs: dict[str, Trajectory], share: float) -> None:
    """Steps to an accuracy, against uniform draws: no prediction, only what happened."""
    if problem.pl is None:  # f* is unknown, so an accuracy has no meaning
        last = {name: float(np.round(run.excess[-1].mean(), 5)) for name, run in runs.items()}
        report.comparison.append({"problem": problem.name, "last f": last})
    for fraction in (0.1, 0.01, 0.001) if problem.pl is not None else ():
        steps = {name: run.steps_to(fraction) for name, run in runs.items()}
        report.comparison.append({"problem": problem.name, "fraction": fraction, "steps": steps})
    advantage = {
        name: round(float(run.advantage(share)[: len(run.mass) // 10].mean()), 3)
        for name, run in runs.items()
    }
    report.comparison.append({"problem": problem.name, "mean rho, first tenth": advantage})


def check_problem(report: Report, problem: Problem, sizes: Sizes, rng: np.random.Generator) -> None:
    """Every check on one problem."""
    inclusion, smoothness = Inclusion(sizes.blocks, sizes.size), problem.subset_smoothness(sizes.size)
    rate, share, runs = 1 / smoothness, sizes.size / sizes.blocks, {}
    for name, make in policies(problem, rng).items():
        policy = make()
        run = descend(
            problem,
            policy,
            inclusion,
            size=sizes.size,
            rate=rate,
            steps=sizes.steps,
            runs=sizes.runs,
            rng=rng,
        )
        runs[name] = run
        check_bounds(report, problem, name, run, rate=rate, least=policy.floor * share)
        if policy.floor:
            lowest = float(run.advantage(share).min())
            report.at_least(problem.name, name, "least rho >= floor", policy.floor, lowest)
        if name == "oracle":
            report.at_least(problem.name, name, "least rho >= 1", 1.0, float(run.advantage(share).min()))
    check_advantage(report, problem, sizes, smoothness, rng)
    if problem.name == "separable":
        check_exact(report, problem, sizes, rate, rng)
        check_noise(report, problem, sizes, smoothness, rng)
    compare(report, problem, runs, share)


def check_all(sizes: Sizes, seed: int = 0) -> Report:
    """Every prediction of docs/convergence.md that a machine can check."""
    rng, report = np.random.default_rng(seed), Report()
    check_sampler(report, sizes, rng)
    for make in (separable, coupled, logistic, robust):
        check_problem(report, make(rng, sizes.blocks, sizes.width), sizes, rng)
    check_starvation(report, sizes, rng)
    return report


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; 1 when a prediction fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    sizes = Sizes()
    report = check_all(sizes, options.seed)
    failed = sum(not row.ok for row in report.rows)
    sys.stdout.write(
        table(report) + f"\n\n{len(report.rows) - failed} of {len(report.rows)} predictions hold\n"
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    record = {"seed": options.seed, "sizes": asdict(sizes), **asdict(report)}
    options.output.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
