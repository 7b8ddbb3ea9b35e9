"""The convergence check: its predictions hold on small sizes, and it can tell when one does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from benchmarks.convergence import check_all, main
from benchmarks.convergence_checks import Sizes, check_bounds
from benchmarks.convergence_policies import GradientMass, Inclusion, Uniform, drawing_shares
from benchmarks.convergence_problems import Problem, coupled, logistic, robust, separable
from benchmarks.convergence_report import Mean, Report
from benchmarks.convergence_runs import descend

SMALL = Sizes(blocks=5, size=2, width=2, steps=120, runs=16, samples=4000)


def test_every_prediction_holds_on_small_sizes() -> None:
    report = check_all(SMALL, seed=3)
    assert len(report.rows) > 150
    assert [row for row in report.rows if not row.ok] == []


@pytest.mark.parametrize("make", [separable, coupled, logistic, robust])
def test_gradients_and_curvature_bounds_are_true(
    make: Callable[[np.random.Generator, int, int], Problem],
) -> None:
    rng = np.random.default_rng(1)
    problem = make(rng, 4, 2)
    x = rng.standard_normal((1, 8))
    step = 1e-5 * np.eye(8)
    slopes = (problem.value(x + step) - problem.value(x - step)) / 2e-5
    np.testing.assert_allclose(problem.gradient(x)[0], slopes, atol=1e-7)
    hessian = (problem.gradient(x + step) - problem.gradient(x - step)) / 2e-5
    assert np.linalg.eigvalsh(problem.hessian_bound - (hessian + hessian.T) / 2)[0] > -1e-6
    if problem.pl is not None:
        excess = problem.value(x)[0] - problem.minimum
        assert np.square(problem.gradient(x)).sum() >= 2 * problem.pl * excess


def test_inclusion_agrees_with_a_plain_sum_over_orders() -> None:
    shares = drawing_shares(np.array([[5.0, 1.0, 0.5, 0.1]]), 0.1)
    expected, q = np.zeros(4), shares[0]
    for first, second, third in permutations(range(4), 3):
        chance = q[first] * q[second] / (1 - q[first]) * q[third] / (1 - q[first] - q[second])
        expected[[first, second, third]] += chance
    inclusion = Inclusion(4, 3)
    np.testing.assert_allclose(inclusion(shares)[0], expected, rtol=1e-12)
    pairs = inclusion.pairs(shares)
    np.testing.assert_allclose(np.diag(pairs), expected, rtol=1e-12)
    np.testing.assert_allclose(pairs.sum(axis=1), 3 * expected, rtol=1e-12)


def test_the_floor_bounds_every_inclusion_probability() -> None:
    weights = np.full((1, 6), 1e-12)
    weights[0, 0] = 1.0
    least = float(Inclusion(6, 2)(drawing_shares(weights, 0.3)).min())
    assert least >= 0.3 * 2 / 6


def test_a_step_too_long_is_reported_as_a_violation() -> None:
    rng = np.random.default_rng(0)
    problem = coupled(rng, 5, 2)
    rate = 3 / problem.subset_smoothness(2)
    run = descend(problem, Uniform(), Inclusion(5, 2), size=2, rate=rate, steps=100, runs=16, rng=rng)
    report = Report()
    check_bounds(report, problem, "uniform", run, rate=rate, least=0.4)
    assert not all(row.ok for row in report.rows)


def test_claiming_a_floor_that_is_not_there_is_reported_as_a_violation() -> None:
    rng = np.random.default_rng(0)
    problem = separable(rng, 5, 2)
    rate = 1 / problem.subset_smoothness(2)
    starving = GradientMass(-1.0, 0.0)
    run = descend(problem, starving, Inclusion(5, 2), size=2, rate=rate, steps=100, runs=16, rng=rng)
    report = Report()
    check_bounds(report, problem, "adversary", run, rate=rate, least=0.4)
    assert [row.name for row in report.rows if not row.ok]


def test_a_wrong_equality_is_reported_as_a_violation() -> None:
    report = Report()
    report.equal("p", "q", "off by a tenth", 1.0, Mean(1.1, 0.001), tolerance=0.02)
    report.equal("p", "q", "close enough", 1.0, Mean(1.01, 0.001), tolerance=0.02)
    assert [row.ok for row in report.rows] == [False, True]


def test_the_command_writes_its_rows_and_its_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "convergence.json"
    failing = Report()
    failing.equal("p", "q", "wrong", 1.0, Mean(2.0, 0.0))
    monkeypatch.setattr("benchmarks.convergence.check_all", lambda _sizes, _seed: failing)
    assert main(["--output", str(output)]) == 1
    assert "VIOLATED" in capsys.readouterr().out
    assert json.loads(output.read_text())["rows"][0]["ok"] is False
