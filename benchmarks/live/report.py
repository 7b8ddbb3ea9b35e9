"""The figures as a table for a terminal."""

from __future__ import annotations

from benchmarks.live.results import Results
from benchmarks.table import section


def table(results: Results) -> str:
    """All of it: the measures, then what was aimed at."""
    found = results.as_json()
    parts = [
        section(
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
        section(
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
        section(
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
        section(
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
        section(
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
        section("Not measured", ("why",), list(found["missing"].items())),
    ]
    return "\n\n".join(part for part in parts if part)
