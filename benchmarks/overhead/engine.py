"""The engine alone: `python -m benchmarks.overhead.engine SPEC OUTPUT CACHE` trains and tells its steps."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ist_core import JobSpec, train
from ist_core.records import Emitted, StepRecord


def main(arguments: list[str]) -> None:
    """Train; all that is emitted is thrown away, but for a few numbers of each step."""
    spec, output, cache = arguments
    steps: list[tuple[float, float, float]] = []

    def keep(emitted: Emitted) -> None:
        if isinstance(emitted, StepRecord):
            steps.append((emitted.time, emitted.metrics["step_seconds"], emitted.metrics["loss"]))

    train(JobSpec.model_validate_json(spec), output_dir=Path(output), emit=keep, cache_dir=Path(cache))
    sys.stdout.write(json.dumps(steps) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
