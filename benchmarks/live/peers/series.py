"""What every tracker is given, and how its answer is timed; needs nothing that is not in Python."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

METRICS = ("loss", "learning_rate", "trained_tokens")
LAYERS = 30
VALUES = len(METRICS) + LAYERS
"""Numbers in a record: its metrics, and a score for each layer."""
REPEATS = 21
"""As somebody reads who looks at a job again and again: caches warm, statements prepared, on all sides."""


class Timing(TypedDict):
    """How long a read took, and how many points it gave."""

    seconds: float
    returned: int


def values(step: int) -> dict[str, float]:
    """A record's values by name."""
    record = {"loss": 2.0 / math.sqrt(step), "learning_rate": 1e-3, "trained_tokens": 512.0 * step}
    for layer in range(LAYERS):
        record[f"importance/{layer}"] = (step * (layer + 1) % 101) / 101
    return record


def point(step: int) -> float:
    """A value of the long series."""
    return 2.0 / math.sqrt(step) + step % 7 * 0.01


def timed(what: Callable[[], int]) -> Timing:
    """The median of many runs, after one that is not counted, and how many points came back."""
    returned, seconds = what(), []
    for _ in range(REPEATS):
        began = time.perf_counter()
        returned = what()
        seconds.append(time.perf_counter() - began)
    return Timing(seconds=statistics.median(seconds), returned=returned)


def options() -> argparse.Namespace:
    """`ingest` or `read`, how much, where, and how many points are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=("ingest", "read"))
    parser.add_argument("--way", default="", help="of several ways to log, this one")
    parser.add_argument("--size", type=int, required=True, help="records, or points of the series")
    parser.add_argument("--points", type=int, default=1000, help="points asked for")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder")
    return parser.parse_args()


def answer(**result: object) -> None:
    """Say what came of it: the last line of the output."""
    print(json.dumps(result), flush=True)
