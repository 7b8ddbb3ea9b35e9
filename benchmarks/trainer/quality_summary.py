"""What the runs of the quality study say: each contender beside LoRA, in as many steps and as much time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from benchmarks.table import section
from benchmarks.trainer.roster import OURS

QUALITY = Path(__file__).parents[1] / "results" / "trainer_quality.json"
SEEDS = (0, 1, 2)
ALIKE = 0.05
"""A contender whose steps take LoRA's time, to this, makes the same runs for both budgets."""
Budget = Literal["steps", "time"]
BUDGETS: tuple[Budget, ...] = ("steps", "time")
_AS_LORA = {"steps": "as many steps as LoRA", "time": "as much time as LoRA"}
_HEAD = (
    "rate",
    "seeds",
    "steps",
    "CPU s",
    "held-out loss",
    "spread",
    "beside LoRA",
    "s to its loss",
    "peak MB",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and its curve: steps, processor seconds and held-out loss."""

    contender: str
    budget: Budget
    rate: float
    seed: int
    curve: list[dict[str, float]]
    peak_bytes: int
    """Above the loaded base model."""

    @property
    def key(self) -> tuple[str, Budget, float, int]:
        """What it is known by."""
        return (self.contender, self.budget, self.rate, self.seed)

    @property
    def loss(self) -> float:
        """At the end."""
        return self.curve[-1]["loss"]

    @property
    def seconds(self) -> float:
        """Of all its steps."""
        return self.curve[-1]["seconds"]


def seconds_to(runs: Sequence[Run], loss: float) -> float | None:
    """Return the time of the steps until runs that differ by seed were that low in the mean; None: never.

    In the mean: of LoRA's own seeds, one in two never comes as low as LoRA's mean. Between two looks at the
    loss it falls in a straight line.
    """
    before: tuple[float, float] | None = None
    for points in zip(*(run.curve for run in runs), strict=True):
        found = float(mean(point["loss"] for point in points))
        seconds = float(mean(point["seconds"] for point in points))
        if found <= loss:
            if before is None:
                return seconds
            share = (before[0] - loss) / (before[0] - found)
            return before[1] + share * (seconds - before[1])
        before = found, seconds
    return None


def steps_for_time(runs: Sequence[Run], name: str) -> float:
    """Return how many steps a contender makes in the time of one of LoRA's; 1: its steps take LoRA's time."""
    own, lora = (best_of(runs, which, "steps") for which in (name, OURS))
    ratio = mean(run.seconds for run in lora) / mean(run.seconds for run in own)
    return 1.0 if abs(ratio - 1) < ALIKE else ratio


def best_of(runs: Sequence[Run], name: str, budget: Budget) -> list[Run]:
    """Return the runs at a contender's best rate, by seed; the best is that with the lowest loss of one seed.

    Where a contender's steps take LoRA's time, its runs of LoRA's steps are those of LoRA's time, too.
    """
    mine = [run for run in runs if (run.contender, run.budget) == (name, budget)]
    if not mine and budget == "time" and steps_for_time(runs, name) == 1.0:
        return best_of(runs, name, "steps")
    first = [run for run in mine if run.seed == SEEDS[0]]
    if not first:
        return []
    rate = min(first, key=lambda run: run.loss).rate
    return sorted((run for run in mine if run.rate == rate), key=lambda run: run.seed)


def summary(path: Path = QUALITY) -> list[dict[str, Any]]:
    """Return each contender's mean final loss at its best rate, its spread, and how that is beside LoRA."""
    if not path.is_file():
        return []
    runs = [Run(**found) for found in json.loads(path.read_text(encoding="utf-8"))["runs"]]
    if not best_of(runs, OURS, "steps"):
        return []
    rows = []
    for budget in BUDGETS:
        reference = best_of(runs, OURS, budget)
        for name in dict.fromkeys(run.contender for run in runs):
            found = best_of(runs, name, budget)
            if found:
                rows.append(_row(name, budget, found, reference))
    return rows


def _row(name: str, budget: Budget, found: Sequence[Run], reference: Sequence[Run]) -> dict[str, Any]:
    losses, aim = [run.loss for run in found], [run.loss for run in reference]
    spread = max(max(aim) - min(aim), max(losses) - min(losses))
    difference = mean(losses) - mean(aim)
    verdict = "within the spread" if abs(difference) <= spread else "better" if difference < 0 else "worse"
    return {
        "contender": name,
        "budget": budget,
        "rate": found[0].rate,
        "seeds": len(found),
        "steps": found[0].curve[-1]["step"],
        "seconds": mean(run.seconds for run in found),
        "loss": mean(losses),
        "spread": max(losses) - min(losses),
        "verdict": verdict,
        "seconds_to_loss": seconds_to(found, mean(aim)),
        "peak_bytes": max(run.peak_bytes for run in found),
    }


def table(rows: Sequence[dict[str, Any]], title: str = "Quality") -> str:
    """Return the rows as a table for a terminal."""
    return section(
        title,
        _HEAD,
        [
            (
                f"{row['contender']}, {_AS_LORA[row['budget']]}",
                f"{row['rate']:g}",
                f"{row['seeds']}",
                f"{row['steps']:.0f}",
                f"{row['seconds']:.0f}",
                f"{row['loss']:.4f}",
                f"{row['spread']:.4f}",
                row["verdict"],
                "-" if row["seconds_to_loss"] is None else f"{row['seconds_to_loss']:.0f}",
                f"{row['peak_bytes'] / 1e6:.0f}",
            )
            for row in rows
        ],
    )
