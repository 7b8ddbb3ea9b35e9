"""The figures as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.live.results import Results


def table(results: Results) -> str:
    """All of it: the measures, then what was aimed at."""
    found = results.as_json()
    parts = [
        _part(
            "Ingest",
            ("records", "seconds", "records/s"),
            [
                (
                    row["name"],
                    f"{row['records']:,}",
                    f"{row['seconds']:.2f}",
                    f"{row['records_per_second']:,.0f}",
                )
                for row in found["ingest"]
            ],
        ),
        _part(
            "Read-back",
            ("stored", "returned", "ms"),
            [
                (
                    row["name"],
                    f"{row['points_stored']:,}",
                    f"{row['points_returned']:,}",
                    f"{row['milliseconds']:.1f}",
                )
                for row in found["read_back"]
            ],
        ),
        _part(
            "Step to client",
            ("frames", "missing", "p50 ms", "p99 ms", "max ms"),
            [
                (
                    f"{row['watchers']:,} watchers",
                    f"{row['frames']:,}",
                    f"{row['frames_missing']:,}",
                    *(f"{row[name]:.1f}" for name in ("p50_ms", "p99_ms", "max_ms")),
                )
                for row in found["latency"]
            ],
        ),
        _part(
            f"Requests, {results.jobs:,} jobs",
            ("connections", "answers/s", "p50 ms", "p99 ms"),
            [
                (
                    row["name"],
                    f"{row['connections']}",
                    f"{row['requests_per_second']:,.0f}",
                    *(f"{row[name]:.1f}" for name in ("p50_ms", "p99_ms")),
                )
                for row in found["requests"]
            ],
        ),
        _part(
            "Targets",
            ("value", "target", "met"),
            [
                (
                    row["name"],
                    "-" if row["value"] is None else f"{row['value']:,.1f}",
                    row["target"],
                    "yes" if row["met"] else "NO",
                )
                for row in found["targets"]
            ],
        ),
        _part("Not measured", ("why",), list(found["missing"].items())),
    ]
    return "\n\n".join(part for part in parts if part)


def _part(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [(title, *head), *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
