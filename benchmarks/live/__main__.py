"""`python -m benchmarks.live`: one run on one machine; prints a table, and writes it as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.live import ingest, latency, peers_run, readback, requests, stack
from benchmarks.live.report import table
from benchmarks.live.results import Results
from benchmarks.live.sizes import FULL, QUICK, Sizes

OUTPUT = Path(__file__).parents[1] / "results" / "live.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write. The exit code tells whether all was measured, not how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: only to see that it runs")
    parser.add_argument("--peers", type=Path, help="the Python that has MLflow, trackio and Aim")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file (default: %(default)s)")
    for field in dataclasses.fields(Sizes):
        if field.type in ("int", "float"):
            kind = int if field.type == "int" else float
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N")
    given = parser.parse_args(arguments)
    chosen = {
        field.name: value
        for field in dataclasses.fields(Sizes)
        if (value := getattr(given, field.name, None)) is not None
    }
    sizes = dataclasses.replace(QUICK if given.quick else FULL, **chosen)
    results = run(sizes, given.peers, say=lambda line: print(line, file=sys.stderr, flush=True))
    print(table(results))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    return 1 if results.failed else 0


def run(sizes: Sizes, peers: Path | None, *, say: Callable[[str], None]) -> Results:
    """Everything, one after the other: two measures never share the machine."""
    began = time.monotonic()
    results = Results(machine=_machine(), sizes=dataclasses.asdict(sizes), jobs=sizes.jobs)
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder, stack.running(Path(folder)) as ours:
        for name, measure in _measures(ours, sizes, results):
            say(name)
            try:
                measure()
            except Exception as error:  # the others are still worth their time
                traceback.print_exc()
                results.failed[name] = f"{type(error).__name__}: {error}"
    say("MLflow, trackio, Aim")
    results.peers = peers_run.measure(peers, sizes)
    results.seconds = time.monotonic() - began
    return results


def _measures(ours: stack.Stack, sizes: Sizes, results: Results) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each measure of ours: its name, and what adds its figures to the results."""

    def ingested() -> None:
        results.ingest = ingest.measure(ours, sizes.records)

    def read(size: int) -> None:
        results.reads.append(readback.measure(ours, size, sizes.points))

    def watched(watchers: int) -> None:
        found = latency.measure(ours, watchers, sizes.watched_seconds, sizes.steps_a_second)
        results.latencies.append(found)

    def asked() -> None:
        paths = requests.prepare(ours, sizes.jobs)
        for connections in sizes.connections:
            for name, of_name in paths.items():
                found = requests.measure(ours, name, of_name, connections, sizes.load_seconds)
                results.loads.append(found)

    # First, for PostgreSQL tidies up for minutes after millions of rows, and a delay is all that counts here.
    for watchers in sizes.watchers:
        yield f"latency: {watchers:,} watchers", partial(watched, watchers)
    yield f"ingest: {sizes.records:,} records", ingested
    for size in (sizes.shared_series, sizes.series):
        yield f"read-back: a series of {size:,} points", partial(read, size)
    yield f"requests: {sizes.jobs:,} jobs", asked


def _machine() -> dict[str, object]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
