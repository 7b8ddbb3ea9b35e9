"""The quality study: `python -m benchmarks.trainer.quality`, hours; a second call goes on where it ended.

Each contender gets its own sweep of learning rates with one seed, then its best one with all seeds; once
with as many steps as LoRA, once with as many as fit in LoRA's time (by the speeds of the speed part in
benchmarks/results/trainer.json, which is measured first). Every run is stored when it ends, in
benchmarks/results/trainer_quality.json, which `python -m benchmarks.trainer` reads its targets from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Literal

from benchmarks.trainer import roster, workload
from benchmarks.trainer.process import ROOT
from benchmarks.trainer.roster import OURS, Contender
from benchmarks.trainer.speed import PROBE_INTERVAL

RESULTS = Path(__file__).parents[1] / "results"
SPEED, QUALITY = RESULTS / "trainer.json", RESULTS / "trainer_quality.json"
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3)
SEEDS = (0, 1, 2)
STEPS, EVERY, BATCH, HELD_OUT = 240, 20, 8, 256
SET = "reasoning"
Budget = Literal["steps", "time"]
BUDGETS: tuple[Budget, ...] = ("steps", "time")
NAMES = (
    OURS,
    "IST random 0.25",
    "IST static 0.25",
    "IST static 0.5",
    "IST contiguous 0.25",
    "IST importance 0.25",
    "IST importance 0.5",
)
"""LoRA, the two controls (random: RST, and static), and the policies that look at scores."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and its curve: steps, seconds and held-out loss."""

    contender: str
    budget: Budget
    rate: float
    seed: int
    curve: list[dict[str, float]]

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What it is stored under."""
        return (self.contender, self.budget, self.rate, self.seed)

    @property
    def loss(self) -> float:
        """At the end."""
        return self.curve[-1]["loss"]


class Study:
    """The runs so far, and those that are still to be made."""

    def __init__(self, path: Path, speeds: dict[str, float], precision: str, steps: int) -> None:
        self._path = path
        self._speeds = speeds
        self._precision = precision
        self._steps = steps
        stored = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
        self.runs = {run.key: run for run in (Run(**found) for found in stored)}

    def make(self, contenders: Sequence[Contender], budget: Budget, folder: Path) -> None:
        """Sweep, then repeat the best with every seed."""
        for contender in contenders:
            for rate in RATES:
                self._run(contender, budget, rate, SEEDS[0], folder)
            best = min(RATES, key=lambda rate: self.runs[contender.name, budget, rate, SEEDS[0]].loss)
            for seed in SEEDS[1:]:
                self._run(contender, budget, best, seed, folder)

    def _run(self, contender: Contender, budget: Budget, rate: float, seed: int, folder: Path) -> None:
        if (contender.name, budget, rate, seed) in self.runs:
            return
        steps = self._steps if budget == "steps" else round(self._steps * self._speeds[contender.name])
        ist = contender.keys["ist"]
        keys = {
            **contender.keys,
            # As a job has them: warm-up and probes are part of what is compared.
            "ist": None if ist is None else {**ist, "warmup_steps": "auto", "probe_interval": PROBE_INTERVAL},
            "precision": self._precision,
            "learning_rate": rate,
            "seed": seed,
            "steps": steps,
            "every": EVERY,
        }
        command = [
            sys.executable,
            "-m",
            "benchmarks.trainer.contenders.curve",
            str(self._workload(folder, seed)),
            json.dumps(keys),
        ]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        run = Run(contender.name, budget, rate, seed, json.loads(done.stdout.splitlines()[-1]))
        self.runs[run.key] = run
        found = {"steps": self._steps, "runs": [asdict(run) for run in self.runs.values()]}
        self._path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{run.loss:.4f}  {run.curve[-1]['seconds']:6.0f} s  {run.key}", flush=True)

    def _workload(self, folder: Path, seed: int) -> Path:
        path = folder / f"workload-{seed}.json"
        if not path.is_file():
            rows = 2 * self._steps * BATCH  # an IST run may make more steps in LoRA's time; it starts over
            files = workload.data_sets()[SET]
            work = workload.make(SET, files, rows=rows, held_out=HELD_OUT, batch_size=BATCH, seed=seed)
            work.write(path)
        return path


def summary(path: Path = QUALITY) -> list[dict[str, Any]]:
    """Return each contender's mean final loss at its best rate, its spread, and how that is beside LoRA."""
    if not path.is_file():
        return []
    runs = [Run(**found) for found in json.loads(path.read_text(encoding="utf-8"))["runs"]]
    rows = []
    for budget in BUDGETS:
        reference = _best(runs, OURS, budget)
        for name in dict.fromkeys(run.contender for run in runs):
            found = _best(runs, name, budget)
            if found and reference:
                rows.append(_row(name, budget, found, reference))
    return rows


def _best(runs: Sequence[Run], name: str, budget: Budget) -> list[Run]:
    """The runs at the rate that has been repeated, or at the best one so far."""
    mine = [run for run in runs if (run.contender, run.budget) == (name, budget)]
    first = [run for run in mine if run.seed == SEEDS[0]]
    if not first:
        return []
    rate = min(first, key=lambda run: run.loss).rate
    return [run for run in mine if run.rate == rate]


def _row(name: str, budget: Budget, found: Sequence[Run], reference: Sequence[Run]) -> dict[str, Any]:
    losses, aim = [run.loss for run in found], [run.loss for run in reference]
    spread = max(max(aim) - min(aim), max(losses) - min(losses))
    difference = mean(losses) - mean(aim)
    verdict = "within the spread" if abs(difference) <= spread else "better" if difference < 0 else "worse"
    times = [_seconds_to(run, mean(aim)) for run in found]
    reached = [value for value in times if value is not None]
    whole = mean(run.curve[-1]["seconds"] for run in reference)
    return {
        "contender": name,
        "budget": budget,
        "rate": found[0].rate,
        "seeds": len(found),
        "loss": mean(losses),
        "spread": max(losses) - min(losses),
        "verdict": verdict,
        "time_to_loss": mean(reached) / whole if len(reached) == len(times) else None,
    }


def _seconds_to(run: Run, loss: float) -> float | None:
    """Return the time of the steps until the held-out loss was that low; None: it never was."""
    return next((point["seconds"] for point in run.curve if point["loss"] <= loss), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.quality", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="of LoRA (default: %(default)s)")
    parser.add_argument("--precision", default="bfloat16", help="of all (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=QUALITY, help="the runs (default: %(default)s)")
    given = parser.parse_args(arguments)
    if SET not in workload.data_sets():
        raise SystemExit(f"the rows of {workload.REASONING} are needed")
    if not SPEED.is_file():
        raise SystemExit("run `python -m benchmarks.trainer` first: the speeds are needed")
    figures = json.loads(SPEED.read_text(encoding="utf-8"))["data_sets"][SET]["contenders"]
    speeds = {found["name"]: found["speed"] for found in figures}
    chosen = [it for it in roster.ours(given.precision) if it.name in NAMES and it.name in speeds]
    study = Study(given.output, speeds, given.precision, given.steps)
    with tempfile.TemporaryDirectory(prefix="bench-quality-") as place:
        for budget in BUDGETS:
            study.make(chosen, budget, Path(place))
    for row in summary(given.output):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
