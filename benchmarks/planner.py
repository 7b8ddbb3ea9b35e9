"""Predicted beside measured memory of real runs: `python -m benchmarks.planner [--quick] [--only TEXT]`.

Every run is a process of its own, as in the service; what it predicts and measures is in its report
(`ist_core/forecast.py`). Writes benchmarks/results/planner.json, exits 1 when a prediction is off by more
than 20 %. The constants that the allocator's waste is predicted with were fitted on runs like the `fitted`
ones; the others check that they carry over.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.planner_settings import GPT2, LLAMA, Case, cases, quick_cases
from ist_core.allocator import training_environment

RESULTS = Path(__file__).parent / "results" / "planner.json"
TOLERANCE = 0.2
ROWS = 32
"""Of a short run."""
TEMPLATE_TOKENS = 40
"""What SmolLM2's chat template adds to a row, about."""
WORDS = ("order", "lamp", "table", "quick", "please", "deliver", "seven", "blue", "paper", "city", "garden")


def run(case: Case, folder: Path) -> tuple[dict[str, Any], int]:
    """Train one case in a process of its own, and return its report's memory and how many steps it made.

    Raises:
        RuntimeError: if the run fails, with the end of what it wrote.
    """
    data, output = folder / "rows.jsonl", folder / "output"
    data.write_text("".join(json.dumps(row) + "\n" for row in _rows(case)), encoding="utf-8")
    spec = {**case.spec, "training_file": str(data)}
    if spec["model"] in (GPT2, LLAMA):
        spec["model"] = str(folder.parent / spec["model"])
    call = [sys.executable, "-m", "benchmarks.planner_run", json.dumps(spec), str(output), str(folder.parent)]
    environment = {**os.environ, **training_environment()}  # as the service starts it
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{case.name}: {done.stderr[-2000:]}")
    report = json.loads((output / "report.json").read_text())
    return report["memory"], report["steps"]


def _rows(case: Case) -> list[dict[str, Any]]:
    """Rows of random words, the longest of about `case.length` tokens, the shortest of half of that."""
    draw = random.Random(0)  # noqa: S311  # no secret
    rows = []
    for index in range(max(ROWS, case.steps * case.batch)):
        share = 1.0 if index % 8 == 0 else draw.uniform(0.5, 1.0)
        words = max(8, round(share * case.length) - TEMPLATE_TOKENS)
        ask, answer = (" ".join(draw.choices(WORDS, k=max(2, round(part * words)))) for part in (0.6, 0.4))
        rows.append(_pair(ask, answer) if case.method == "dpo" else _chat(ask, answer))
    return rows


def _chat(ask: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]}


def _pair(ask: str, answer: str) -> dict[str, Any]:
    return {
        "input": {"messages": [{"role": "user", "content": ask}]},
        "preferred_output": [{"role": "assistant", "content": answer}],
        "non_preferred_output": [{"role": "assistant", "content": "no " + answer}],
    }


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in a new folder; returns what is kept of it, in MB."""
    folder.mkdir()
    memory, steps = run(case, folder)
    return {
        "name": case.name,
        "fitted": case.fitted,
        "steps": steps,
        "predicted_mb": round(memory["predicted_bytes"] / 1e6),
        "measured_mb": round(memory["measured_bytes"] / 1e6),
        "ratio": round(memory["ratio"], 3),
        "baseline_mb": round(memory["baseline_bytes"] / 1e6),
    }


def too_far(lines: list[dict[str, Any]]) -> list[str]:
    """Names of the runs whose prediction is off by more than the tolerance."""
    return [found["name"] for found in lines if abs(found["ratio"] - 1) > TOLERANCE]


def merged(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stored results with these runs' in place of their earlier ones, in the order of the cases."""
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.is_file() else []
    found = {run["name"]: run for run in [*stored, *lines]}
    return [found[case.name] for case in cases() if case.name in found]


def write(lines: list[dict[str, Any]]) -> None:
    """Write the results so far; `cases` says how many there are to be."""
    machine = {"system": platform.platform(), "libc": " ".join(platform.libc_ver())}
    found = {"machine": machine, "cases": len(cases()), "wrong": too_far(lines), "runs": lines}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Run the cases, print a line each, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two runs, nothing is written")
    parser.add_argument("--only", default="", help="runs whose name holds this text; the other results stay")
    parser.add_argument("--jobs", type=int, default=1, help="so many runs at once: memory is each one's own")
    options = parser.parse_args()
    chosen = quick_cases() if options.quick else cases()
    chosen = [case for case in chosen if options.only in case.name]
    lines = []
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([sys.executable, "-m", "benchmarks.planner_run", "models", place], check=True)
        folders = [Path(place) / str(number) for number in range(len(chosen))]
        with ThreadPoolExecutor(options.jobs) as pool:
            for last in pool.map(measure, chosen, folders):
                lines.append(last)
                print(
                    f"{last['ratio']:.3f}  {last['predicted_mb']:5} {last['measured_mb']:5}  {last['name']}",
                    flush=True,
                )
                if not options.quick:
                    write(merged(lines))
    wrong = too_far(lines)
    print(f"{len(lines) - len(wrong)} of {len(lines)} within {TOLERANCE:.0%}", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
