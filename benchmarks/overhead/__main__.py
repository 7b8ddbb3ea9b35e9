"""What the service costs its trainer: `python -m benchmarks.overhead [--runs N] [--steps N]`.

The same job twice, in pairs that take turns in who is first: by the engine alone (`ist_core.train` in a
process of its own, nothing kept of what it emits, no checkpoints, no service running), and in the whole
service as `make up` starts it. Compared is the time from the end of step 1 to the end of the last step, as
the step records tell it.

In it: checkpoints at the default interval (written, flushed to disk, uploaded), step records and messages
made, delivered and stored with their roll-ups, heartbeats, the lease, scheduler, API and chat process at rest
beside the trainer, and a client that asks for the job's state every 2 seconds.
Not in it: the queue, starting the trainer, loading (see `benchmarks.starts`), step 1, the files of the
result, and watchers of live streams (see `benchmarks.live`).

Processor time is the whole machine's, so it means something on a quiet machine only. Prints a table, writes
benchmarks/results/overhead.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.overhead.processors import Processors
from benchmarks.overhead.results import Pair, Run, as_json, table, targets
from benchmarks.overhead.service import service, train
from ist_core.allocator import training_environment
from ist_core.catalog import SMOLLM2
from ist_core.schedule import checkpoint_interval
from ist_core.spec import JobSpec

RESULTS = Path(__file__).parents[1] / "results" / "overhead.json"
ROWS = Path(__file__).parents[2] / "examples" / "tickets" / "train.jsonl"


def main() -> int:
    """Run, print and write. The exit code tells whether all was measured, not how it went."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=3, help="pairs (default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=170, help="optimizer steps (default: %(default)s, the example's)"
    )
    parser.add_argument("--batch", type=int, default=4, help="rows a step (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file (default: %(default)s)")
    given = parser.parse_args()
    pairs = measure(given.runs, given.steps, given.batch)
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load_after": os.getloadavg()[0]}
    setting = {"model": SMOLLM2, "steps": given.steps, "batch_size": given.batch}
    given.output.write_text(
        json.dumps({"machine": machine, **setting, **as_json(pairs)}, indent=1) + "\n", encoding="utf-8"
    )
    print(table(pairs))
    if not all(pair.same_losses for pair in pairs):
        print("The losses differ: these were not the same steps.")
    for target in targets(pairs):
        print(f"{target.name}: {target.value:.4f} (target {target.target}: {'yes' if target.met else 'NO'})")
    return 0


def measure(runs: int, steps: int, batch: int) -> list[Pair]:
    """Run the pairs; the first one begins in the service, the next one alone, and so on."""
    method = {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": batch}}}
    body = {"model": SMOLLM2, "method": method, "max_steps": steps, "seed": 1}
    pairs = []
    with tempfile.TemporaryDirectory(prefix="bench-overhead-") as place:
        data = Path(place) / "data"
        # Converts the base model, and tells what job the service makes of the request.
        spec, _ = _served(data, {**body, "max_steps": 1})
        spec = spec.model_copy(update={"max_steps": steps})
        due = range(1, steps)
        checkpoints = [step for step in due if step % checkpoint_interval(spec, steps) == 0]
        for number in range(runs):
            if number % 2:
                alone, served = _alone(data, spec), _served(data, body)
            else:
                served, alone = _served(data, body), _alone(data, spec)
            if served[0].model_copy(update={"training_file": spec.training_file}) != spec:
                raise AssertionError("the service made another job of the same request")
            pairs.append(Pair(alone, served[1], checkpoints))
            print(f"pair {number + 1}: {pairs[-1].overhead:+.2%}", file=sys.stderr, flush=True)
    return pairs


def _alone(data: Path, spec: JobSpec) -> Run:
    """Train without a service."""
    steps = spec.max_steps or 1
    local = spec.model_copy(update={"training_file": str(ROWS), "checkpoint_interval": steps + 1})
    with tempfile.TemporaryDirectory(dir=data) as output:
        command = [sys.executable, "-m", "benchmarks.overhead.engine", local.model_dump_json(), output]
        os.sync()  # nothing of an earlier run is still on its way to the disk
        with Processors() as processors:
            done = subprocess.run(
                [*command, str(data / "cache")],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **training_environment()},  # as the service starts it
            )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    times, seconds, losses = (
        list(column) for column in zip(*json.loads(done.stdout.splitlines()[-1]), strict=True)
    )
    return Run(times, seconds, losses, processors.between(times[0], times[-1]))


def _served(data: Path, body: dict[str, Any]) -> tuple[JobSpec, Run]:
    """Train in the service."""
    with service(data) as stack:
        os.sync()
        with Processors() as processors:
            spec, found = train(stack, ROWS, body)
    times = found["time"]
    busy = processors.between(times[0], times[-1])
    return spec, Run(times, found["series"]["step_seconds"], found["series"]["loss"], busy)


if __name__ == "__main__":
    sys.exit(main())
