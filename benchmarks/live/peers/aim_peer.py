"""Aim with its local repository: `Run.track` with a dictionary; read from `Run.get_metric`.

A closed run can be read once it is in Aim's index, which `aim up` keeps and `aim storage reindex` makes anew;
and only a process that opens the repository afterwards sees it. Neither is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from aim import Repo, Run
from aim.__version__ import __version__
from aim.storage.context import Context

from benchmarks.live.peers.series import METRICS, Timing, answer, options, point, timed, values


def main() -> None:
    """Measure one thing; with `--way`, be the process that reads the run of this hash."""
    given = options()
    path = str(given.folder.resolve())
    if given.way:
        answer(reads=reads(given.way, path, given.points))
        return
    Repo.from_path(path, init=True)
    run = Run(repo=path, experiment="bench", system_tracking_interval=None, log_system_params=False)
    run_hash = run.hash
    began = time.perf_counter()
    for step in range(1, given.size + 1):
        run.track(values(step) if given.measure == "ingest" else {METRICS[0]: point(step)}, step=step)
    run.close()
    seconds = time.perf_counter() - began
    found = read_elsewhere(run_hash, path)
    stored = found["metric.values"]["returned"]
    if given.measure == "ingest":
        answer(records=given.size, seconds=seconds, stored=stored, version=__version__)
    else:
        answer(reads=found, version=__version__)


def read_elsewhere(run_hash: str, path: str) -> dict[str, Timing]:
    """What a process sees that opens the repository after the run was indexed."""
    aim = Path(sys.executable).with_name("aim")
    subprocess.run([aim, "storage", "--repo", path, "reindex", "-y"], check=True, stdout=sys.stderr)
    command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--way", run_hash]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Timing] = json.loads(done.stdout.splitlines()[-1])["reads"]
    return found


def reads(run_hash: str, path: str, points: int) -> dict[str, Timing]:
    """The whole series, and a sample of it."""
    run = Run(run_hash, repo=path, read_only=True)

    def read(sample: int | None) -> int:
        metric = run.get_metric(METRICS[0], Context({}))
        if sample is None:
            steps, _ = metric.values.sparse_numpy()
            return len(steps)
        return len(metric.data.sample(sample).view(("val",)).items_list()[0])

    return {"metric.data.sample": timed(lambda: read(points)), "metric.values": timed(lambda: read(None))}


if __name__ == "__main__":
    main()
