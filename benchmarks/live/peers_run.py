"""The other trackers, each measured by its own program in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.live.ingest import Ingest
from benchmarks.live.readback import Read
from benchmarks.live.sizes import Sizes

ROOT = Path(__file__).parents[2]
PROGRAMS = "benchmarks.live.peers"
TIMEOUT_SECONDS = 240.0
SAMPLED = frozenset({"REST get-history-bulk-interval", "get_metric_values(max_points)", "metric.data.sample"})
"""The ways of reading that answer with as many points as are asked for."""
INTERNAL = frozenset({"metric.data.sample"})
"""Those that no page of theirs tells of."""


@dataclass
class Peers:
    """What came of the others."""

    ingests: dict[str, Ingest] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Why there is no figure, by measure."""


def measure(python: Path | None, sizes: Sizes) -> Peers:
    """Run each program with this interpreter; one that fails is told of, and the others go on."""
    found = Peers()
    ingests = (
        ("MLflow log_metrics", "mlflow", "log_metrics", sizes.mlflow_calls),
        ("MLflow log_batch", "mlflow", "log_batch", sizes.mlflow_batched),
        ("trackio", "trackio", "", sizes.trackio_records),
        ("Aim", "aim", "", sizes.aim_records),
    )
    for name, peer, way, size in ingests:
        answer = _run(
            found, f"{name}, ingest", python, peer, "ingest", size, *(("--way", way) if way else ())
        )
        if answer is None:
            continue
        if answer["stored"] != size:
            found.missing[f"{name}, ingest"] = f"{answer['stored']} of {size} records are stored"
            continue
        found.ingests[name] = Ingest(name, size, answer["seconds"], answer["version"])
    for name, peer in (("MLflow", "mlflow"), ("trackio", "trackio"), ("Aim", "aim")):
        size = sizes.shared_series
        answer = _run(found, f"{name}, read", python, peer, "read", size, "--points", str(sizes.points))
        for way, taken in (answer or {"reads": {}})["reads"].items():
            found.reads.append(
                Read(
                    f"{name}, {way}",
                    size,
                    taken["seconds"],
                    taken["returned"],
                    way in SAMPLED,
                    way not in INTERNAL,
                )
            )
    return found


def _run(
    found: Peers, name: str, python: Path | None, peer: str, measure: str, size: int, *more: str
) -> dict[str, Any] | None:
    """A program's last line, or None and the reason under `missing`."""
    if python is None:
        found.missing[name] = "not asked for"
        return None
    with tempfile.TemporaryDirectory(prefix=f"bench-{peer}-") as folder:
        # Not resolved: the link to an interpreter is what tells it of its environment.
        program = [str(python.absolute()), "-m", f"{PROGRAMS}.{peer}_peer"]
        command = [*program, measure, "--size", str(size), "--folder", folder, *more]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            found.missing[name] = " ".join(error.stderr.splitlines()[-1:])[-300:]
        except (OSError, subprocess.TimeoutExpired) as error:
            found.missing[name] = str(error)[-300:]
        else:
            answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return answer
    return None
