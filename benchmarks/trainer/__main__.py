"""`python -m benchmarks.trainer`: one run on one machine; prints a table, and writes it as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.trainer import quality_summary, roster, workload
from benchmarks.trainer.process import running
from benchmarks.trainer.report import table
from benchmarks.trainer.results import DataSet, Results
from benchmarks.trainer.roster import Contender
from benchmarks.trainer.speed import measure, own
from ist_core.device import likely_dtype

OUTPUT = Path(__file__).parents[1] / "results" / "trainer.json"
BATCH = 8
STEPS, WARM = 6, 2
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write. The exit code tells whether all was measured, not how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two contenders, one step: to see that it runs")
    parser.add_argument("--only", default="", help="contenders whose name matches this pattern")
    parser.add_argument("--data", type=Path, default=workload.REASONING, help="folder of the reasoning rows")
    parser.add_argument("--sets", default="reasoning,tickets", help="data sets (default: %(default)s)")
    parser.add_argument("--precision", default=_precision(), help="of our contenders (here: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="steps that are timed (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file (default: %(default)s)")
    parser.add_argument(
        "--stored",
        action="store_true",
        help="measure nothing: the JSON file's figures, and the quality study's",
    )
    given = parser.parse_args(arguments)
    if given.stored:
        return _finish(Results.from_json(json.loads(given.output.read_text(encoding="utf-8"))), given.output)
    contenders = roster.ours(given.precision)
    others = [*contenders[1:], *roster.probing(given.precision), *roster.peers(), *roster.trl_candidates()]
    chosen = [other for other in others if re.search(given.only, other.name)]
    results = run(
        contenders[0],
        chosen[:1] if given.quick else chosen,
        given.data,
        given.sets.split(","),
        steps=1 if given.quick else given.steps,
        warm=1 if given.quick else WARM,
    )
    return _finish(results, given.output)


def _finish(results: Results, output: Path) -> int:
    results.quality = quality_summary.summary()
    print(table(results))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results.as_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if any(found.missing for found in results.data_sets) else 0


def run(
    reference: Contender,
    others: Sequence[Contender],
    data: Path,
    names: Sequence[str],
    *,
    steps: int,
    warm: int,
) -> Results:
    """Measure on each data set, one contender at a time beside the reference."""
    began = time.monotonic()
    results = Results(_machine(), {name: version(name) for name in PACKAGES})
    python = Path(sys.executable)
    for name, files in workload.data_sets(data).items():
        if name not in names:
            continue
        # Rows for a whole window of the engine's order, so that its batches hold rows of similar lengths.
        rows = BATCH * max(8, steps + warm)
        work = workload.make(name, files, rows=rows, held_out=64, batch_size=BATCH)
        sizes = [example.length for batch in work.batches for example in batch]
        found = DataSet(name, BATCH, sum(sizes) / len(sizes))
        results.data_sets.append(found)
        with tempfile.TemporaryDirectory(prefix="bench-trainer-") as place:
            folder = Path(place)
            work.write(folder / "workload.json")
            with running(reference, folder / "workload.json", folder, python) as ours:
                for batch in range(warm):
                    ours.go(batch)
                found.figures, found.missing = measure(
                    ours,
                    others,
                    folder / "workload.json",
                    folder,
                    python=python,
                    steps=steps,
                    warm=warm,
                    say=lambda line: print(line, file=sys.stderr, flush=True),
                )
                first = own(reference.name, ours.turns[warm:], ours.end()["peak_bytes"])
                found.figures.insert(0, first)
    results.seconds = time.monotonic() - began
    return results


def _precision() -> str:
    """Return the format that our trainer is fastest in here, as TRL's is looked for among its own."""
    return str(likely_dtype("auto")).removeprefix("torch.")


def _machine() -> dict[str, object]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
    }


def _cpu() -> str:
    """The processor's name and family, as Linux tells them."""
    path = Path("/proc/cpuinfo")
    found = (
        dict(re.findall(r"^(\S[^\t:]*)\s*: (.*)$", path.read_text(), re.MULTILINE)) if path.exists() else {}
    )
    return f"{found.get('model name', platform.processor())}, family {found.get('cpu family', '?')}"


if __name__ == "__main__":
    sys.exit(main())
