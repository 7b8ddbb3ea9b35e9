"""The figures as a table for a terminal."""

from __future__ import annotations

from benchmarks.table import section
from benchmarks.trainer import quality_summary
from benchmarks.trainer.results import DataSet, Results

_HEAD = ("s/step", "CPU s", "examples/s", "tokens/s", "x LoRA", "x by CPU", "peak MB", "x LoRA", "scoring")


def table(results: Results) -> str:
    """All of it: each data set, then what was aimed at."""
    parts = [_speed(found) for found in results.data_sets]
    rows = [
        (
            target.name,
            "-" if target.value is None else f"{target.value:.2f}",
            target.target,
            "yes" if target.met else "NO",
        )
        for target in results.targets()
    ]
    missing = [item for found in results.data_sets for item in found.missing.items()]
    parts += [quality_summary.table(results.quality)]
    parts += [
        section("Targets", ("value", "target", "met"), rows),
        section("Not measured", ("why",), missing),
    ]
    return "\n\n".join(part for part in parts if part)


def _speed(found: DataSet) -> str:
    reference = found.figures[0].peak_bytes if found.figures else 0
    rows = [
        (
            it.name,
            f"{it.seconds:.2f}",
            f"{it.cpu_seconds:.2f}",
            f"{it.examples_per_second:.2f}",
            f"{it.tokens_per_second:.0f}",
            f"{it.speed:.2f}",
            f"{it.cpu_speed:.2f}",
            f"{it.peak_bytes / 1e6:.0f}",
            f"{it.peak_bytes / reference:.2f}" if reference else "-",
            f"{it.probe_share:.1%}",
        )
        for it in found.figures
    ]
    title = f"{found.name}, batch {found.batch_size} x {found.mean_tokens:.0f} tokens"
    return section(title, _HEAD, rows)
