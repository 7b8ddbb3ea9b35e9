"""Prints the matrix of adapters and models: `python -m benchmarks.ist_matrix`; exits 1 on any failure.

A cell passes three checks, or peft itself cannot make it (n/a), or IST refuses it with a reason. A method of
peft that is in none of the tables fails the run: a new peft has to be looked at.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from benchmarks.ist_matrix.case import CheckFailed
from benchmarks.ist_matrix.matrix import fill, refusal, unknown_methods
from benchmarks.ist_matrix.methods import METHODS
from benchmarks.ist_matrix.models import FAMILIES
from benchmarks.ist_matrix.refusals import REFUSALS, make_t5
from benchmarks.ist_matrix.table import notes, table, totals, unproven


def main(arguments: list[str] | None = None) -> int:
    """Fill, print; 1 when anything fails."""
    rows = [*METHODS, *REFUSALS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=rows, default=rows, metavar="METHOD")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    cells = list(fill(options.methods, options.families, processes=options.processes))
    failures = [f"{cell.method} on {cell.family}" for cell in cells if cell.verdict == "failed"]
    failures += [f"{name} is shown by no family" for name in unproven(cells)]
    failures += [f"peft has a method that no table knows: {name}" for name in unknown_methods()]
    t5 = _encoder_decoder()
    failures += [] if t5.startswith("t5 refused") else [t5]
    seconds = time.perf_counter() - started
    lines = [table(cells), notes(cells), "", t5, f"{totals(cells)}; {seconds:.0f} s", *failures]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if failures else 0


def _encoder_decoder() -> str:
    """Say what becomes of T5."""
    try:
        return f"t5 refused: {refusal(make_t5())}"
    except CheckFailed as error:
        return f"t5: {error}"


if __name__ == "__main__":
    sys.exit(main())
