"""How much of everything: for the figures, or only to see that it all still runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of one run; times in seconds."""

    records: int = 200_000
    """Ingested by ours, with 33 values each."""
    mlflow_calls: int = 300
    """Records by `log_metrics`."""
    mlflow_batched: int = 3000
    """Records by `log_batch`."""
    trackio_records: int = 50_000
    aim_records: int = 1000
    series: int = 1_000_000
    """Points of the long series, of ours alone: filling the others would take an hour."""
    shared_series: int = 50_000
    """Points of the series that all of them are read on."""
    points: int = 1000
    """Points asked for."""
    watchers: tuple[int, ...] = (1, 100, 1000)
    watched_seconds: float = 25.0
    steps_a_second: float = 5.0
    jobs: int = 100_000
    load_seconds: float = 6.0
    connections: tuple[int, ...] = (1, 8)


FULL = Sizes()
QUICK = Sizes(
    records=2000,
    mlflow_calls=20,
    mlflow_batched=60,
    trackio_records=500,
    aim_records=50,
    series=5000,
    shared_series=1000,
    points=100,
    watchers=(1, 5),
    watched_seconds=2.0,
    jobs=500,
    load_seconds=1.0,
    connections=(1, 2),
)
