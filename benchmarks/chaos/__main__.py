"""`python -m benchmarks.chaos --kills 20 --seed 0`: exit code 0 when the kills cost no job anything."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.run import run


def main() -> int:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many processes to kill (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims (default 0)")
    parser.add_argument("--steps", type=int, default=1500, help="optimizer steps of a job (default 1500)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="isthmus-chaos-") as folder:
        outcome = run(Path(folder), kills=given.kills, seed=given.seed, steps=given.steps, say=print)
    print(outcome.table())
    return 0 if outcome.unharmed else 1


if __name__ == "__main__":
    sys.exit(main())
