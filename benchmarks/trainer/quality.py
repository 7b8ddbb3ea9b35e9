"""The quality study: `python -m benchmarks.trainer.quality`, an hour on two cores; goes on where it ended.

Each contender gets a sweep of learning rates of its own with one seed, then its best one with all seeds, in
as many steps as LoRA makes; and once more in as many as fit in LoRA's time. Every run is a process of one
thread, as many at once as there are cores, and time is processor time: what else the machine does costs a run
little. Each run is stored when it ends, in benchmarks/results/trainer_quality.json, which
`python -m benchmarks.trainer` reads its targets from. Rows come again from epoch to epoch, as in a job.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock

from benchmarks.trainer import workload
from benchmarks.trainer.process import ROOT
from benchmarks.trainer.quality_summary import (
    QUALITY,
    SEEDS,
    Budget,
    Run,
    best_of,
    steps_for_time,
    summary,
    table,
)
from benchmarks.trainer.roster import CAPPED, STUDIED, studied
from ist_core.allocator import training_environment

ROWS, EPOCHS, BATCH, HELD_OUT, EVERY = 320, 3, 8, 96, 15
RATES = (2e-3, 4e-3)
MOST_EPOCHS = 9
SET = "tickets"
Wanted = tuple[str, Budget, float, int, int]
"""Contender, budget, learning rate, seed, steps."""


class Study:
    """The runs so far, and those that are still to be made."""

    def __init__(self, path: Path, folder: Path, *, precision: str, jobs: int) -> None:
        self._path = path
        self._folder = folder
        self._contenders = studied(precision)
        self._jobs = jobs
        self._lock = Lock()
        stored = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
        self.runs = [Run(**found) for found in stored]
        self._steps = EPOCHS * ROWS // BATCH

    def make(self) -> None:
        """Contender by contender: a sweep, the best rate with every seed, then the steps of LoRA's time."""
        for seed in SEEDS:
            self._write_workload(seed)
        for name in STUDIED:
            self._all((name, "steps", rate, SEEDS[0], self._steps) for rate in RATES)
            self._all((name, "steps", self._rate(name), seed, self._steps) for seed in SEEDS[1:])
            self._all(self._in_time(name, name))
            # Computing again changes no weight: the best rate and the number of steps are the same.
            for capped in (capped for capped, like in CAPPED.items() if like == name):
                self._all(self._in_time(capped, name))

    def _in_time(self, name: str, like: str) -> Iterable[Wanted]:
        """The runs of a contender of as many steps as `like` makes in LoRA's time."""
        ratio = steps_for_time(self.runs, like)
        if ratio == 1.0:  # the losses are those of `like`: one run tells the time
            return [(name, "steps", self._rate(like), SEEDS[0], self._steps)]
        return [(name, "time", self._rate(like), seed, round(self._steps * ratio)) for seed in SEEDS]

    def _rate(self, name: str) -> float:
        """The best learning rate of a contender that has been swept."""
        return best_of(self.runs, name, "steps")[0].rate

    def _all(self, wanted: Iterable[Wanted]) -> None:
        done = {run.key for run in self.runs}
        missing = [run for run in wanted if run[:4] not in done]
        with ThreadPoolExecutor(self._jobs) as pool:
            for future in [pool.submit(self._run, *run) for run in missing]:
                future.result()

    def _run(self, name: str, budget: Budget, rate: float, seed: int, steps: int) -> None:
        keys = self._contenders[name] | {
            "learning_rate": rate,
            "seed": seed,
            "steps": steps,
            "every": EVERY,
        }
        command = [
            sys.executable,
            "-m",
            "benchmarks.trainer.contenders.curve",
            str(self._workload(seed)),
            json.dumps(keys),
        ]
        own = {"PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **training_environment(), **own}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        run = Run(name, budget, rate, seed, **json.loads(done.stdout.splitlines()[-1]))
        with self._lock:
            self.runs.append(run)
            text = json.dumps({"runs": [asdict(found) for found in self.runs]}, indent=1)
            self._path.write_text(text + "\n", encoding="utf-8")
            print(f"{run.loss:.4f}  {run.seconds:6.0f} s  {run.key}", flush=True)

    def _workload(self, seed: int) -> Path:
        return self._folder / f"workload-{seed}.json"

    def _write_workload(self, seed: int) -> None:
        work = workload.make(
            SET,
            workload.data_sets()[SET],
            rows=ROWS,
            held_out=HELD_OUT,
            batch_size=BATCH,
            seed=seed,
            epochs=MOST_EPOCHS,
        )
        work.write(self._workload(seed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are missing, and tell what they say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.quality", description=__doc__)
    parser.add_argument("--precision", default="bfloat16", help="of all (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once (default: cores)")
    parser.add_argument("--output", type=Path, default=QUALITY, help="the runs (default: %(default)s)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-quality-") as place:
        Study(given.output, Path(place), precision=given.precision, jobs=given.jobs).make()
    rows = summary(given.output)
    print(table(rows))
    return 0 if {row["contender"] for row in rows} == {*STUDIED, *CAPPED} else 1


if __name__ == "__main__":
    sys.exit(main())
