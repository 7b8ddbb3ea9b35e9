"""The benchmark of live data still runs, and says of each target what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.live.__main__ import main
from benchmarks.live.ingest import Ingest
from benchmarks.live.latency import Latency
from benchmarks.live.peers_run import Peers
from benchmarks.live.readback import Read
from benchmarks.live.report import table
from benchmarks.live.requests import Load
from benchmarks.live.results import Results


def test_a_quick_run_measures_all_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "live.json"
    assert main(["--quick", "--output", str(output)]) == 0
    found = json.loads(output.read_text())
    assert [row["name"] for row in found["ingest"]] == ["Isthmus"]
    assert found["ingest"][0]["records_per_second"] > 0
    assert [(row["points_stored"], row["downsampled"]) for row in found["read_back"]] == [
        (1000, True),
        (5000, True),
    ]
    assert all(0 < row["points_returned"] <= 100 for row in found["read_back"])
    assert [(row["watchers"], row["frames"]) for row in found["latency"]] == [(1, 10), (5, 50)]
    assert {row["connections"] for row in found["requests"]} == {1, 2}
    assert set(found["missing"].values()) == {"not asked for"}
    assert [(row["value"] is None, row["met"]) for row in found["targets"]][:5] == [(True, False)] * 5
    assert all(row["value"] > 0 for row in found["targets"][5:])
    shown = capsys.readouterr().out
    assert all(row["name"] in shown for row in found["targets"])


def results(**changes: object) -> Results:
    whole = {
        "machine": {},
        "sizes": {},
        "jobs": 100,
        "ingest": Ingest("Isthmus", 1000, 1.0),
        "reads": [Read("Isthmus", 50, 0.001, 10, True), Read("Isthmus", 500, 0.5, 10, True)],
        "latencies": [Latency(1, 5, 5, 1.0, 200.0, 300.0), Latency(10, 5, 50, 1.0, 99.0, 300.0)],
        "loads": [Load(name, 1, 10.0, 1.0, 24.0) for name in ("list", "retrieve")],
        "peers": Peers(
            {
                "MLflow log_metrics": Ingest("MLflow log_metrics", 10, 1.0),
                "MLflow log_batch": Ingest("MLflow log_batch", 100, 1.0),
                "trackio": Ingest("trackio", 500, 1.0),
            },
            [Read("a", 50, 0.05, 50, False), Read("b", 50, 0.011, 10, True, documented=False)],
        ),
    }
    return Results(**{**whole, **changes})  # type: ignore[arg-type]


def test_what_reaches_every_target_meets_them() -> None:
    rows = results().targets()
    assert [round(row.value or 0, 1) for row in rows] == [100, 10, 2, 50, 11, 99, 24, 24]
    assert all(row.met for row in rows)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"ingest": Ingest("Isthmus", 999, 1.0)}, [0, 1, 2]),
        ({"ingest": None}, [0, 1, 2]),
        ({"peers": Peers()}, [0, 1, 2, 3, 4]),
        ({"reads": [Read("Isthmus", 50, 0.002, 10, True)]}, [4]),
        ({"reads": [Read("Isthmus", 500, 0.001, 10, True)]}, [3, 4]),
        ({"latencies": [Latency(10, 5, 50, 1.0, 100.0, 300.0)]}, [5]),
        ({"latencies": [Latency(10, 5, 49, 1.0, 9.0, 9.0, missing=1)]}, [5]),
        ({"latencies": [Latency(10, 5, 50, 1.0, 9.0, 9.0, cut_off=1)]}, [5]),
        ({"loads": [Load("list", 1, 1.0, 1.0, 25.0), Load("retrieve", 8, 1.0, 1.0, 1.0)]}, [6, 7]),
    ],
)
def test_what_falls_short_or_is_missing_is_told(changes: dict[str, object], missed: list[int]) -> None:
    found = results(**changes)
    rows = found.targets()
    assert [place for place, row in enumerate(rows) if not row.met] == missed
    assert table(found).count(" NO") == len(missed)
