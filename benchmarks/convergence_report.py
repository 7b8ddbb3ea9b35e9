"""Predictions, measurements and verdicts of the convergence check."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.convergence_problems import Array

ERRORS = 4.0
"""How many standard errors a measured mean may lie beyond its prediction."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over runs with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, samples: Array) -> Mean:
        """Of one number a run, [R]."""
        return cls(float(samples.mean()), float(samples.std(ddof=1) / np.sqrt(len(samples))))


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction and its measurement."""

    problem: str
    policy: str
    name: str
    predicted: float
    measured: float
    error: float
    """The standard error of `measured` over runs."""
    ok: bool


@dataclass
class Report:
    """The rows so far and the plain comparison with uniform draws."""

    rows: list[Row] = field(default_factory=list)
    comparison: list[dict[str, object]] = field(default_factory=list)

    def at_most(self, problem: str, policy: str, name: str, bound: float, measured: Mean) -> None:
        """The measured mean must not exceed the bound."""
        ok = measured.value <= bound * (1 + 1e-9) + ERRORS * measured.error
        self.rows.append(Row(problem, policy, name, bound, measured.value, measured.error, ok))

    def at_least(self, problem: str, policy: str, name: str, bound: float, measured: float) -> None:
        """An exactly known number must not fall below the bound."""
        ok = measured >= bound * (1 - 1e-9)
        self.rows.append(Row(problem, policy, name, bound, measured, 0.0, ok))

    def equal(
        self, problem: str, policy: str, name: str, predicted: float, measured: Mean, tolerance: float = 0.0
    ) -> None:
        """They agree within `tolerance` (relative) plus the standard errors."""
        slack = tolerance * abs(predicted) + ERRORS * measured.error + 1e-9 * abs(predicted)
        ok = abs(measured.value - predicted) <= slack
        self.rows.append(Row(problem, policy, name, predicted, measured.value, measured.error, ok))


def table(report: Report) -> str:
    """The rows and the comparison as text."""
    lines = [
        f"{'problem':<12}{'policy':<21}{'check':<42}{'predicted':>12}{'measured':>12}{'error':>10}  verdict"
    ]
    for row in report.rows:
        numbers = f"{row.predicted:>12.4g}{row.measured:>12.4g}{row.error:>10.1g}"
        lines.append(
            f"{row.problem:<12}{row.policy:<21}{row.name:<42}{numbers}  {'ok' if row.ok else 'VIOLATED'}"
        )
    lines += ["", "Against uniform draws (nothing predicted; None: not reached):"]
    lines += [", ".join(f"{key}: {value}" for key, value in entry.items()) for entry in report.comparison]
    return "\n".join(lines)
