"""All that was measured, and how it compares with what was aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.live.ingest import Ingest
from benchmarks.live.latency import Latency
from benchmarks.live.peers_run import Peers
from benchmarks.live.readback import Read
from benchmarks.live.requests import Load
from benchmarks.table import Target

LATENCY_MS = 100.0
ANSWER_MS = 25.0


@dataclass
class Results:
    """One run."""

    machine: dict[str, object]
    sizes: dict[str, object]
    jobs: int
    ingest: Ingest | None = None
    reads: list[Read] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    peers: Peers = field(default_factory=Peers)
    failed: dict[str, str] = field(default_factory=dict)
    """Why a measure of ours came to nothing."""
    seconds: float = 0.0

    def targets(self) -> list[Target]:
        """A row for each."""
        return [
            self._ingest("MLflow log_metrics", 100),
            self._ingest("MLflow log_batch", 10),
            self._ingest("trackio", 2),
            self._read_back("the best way that the others tell of", internal=False),
            self._read_back("the best of all their ways, internal ones too", internal=True),
            self._latency(),
            *(self._answers(name) for name in ("list", "retrieve")),
        ]

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        ours = [] if self.ingest is None else [self.ingest]
        return {
            "machine": self.machine,
            "sizes": self.sizes,
            "seconds": self.seconds,
            "targets": [target.row() for target in self.targets()],
            "ingest": [found.row() for found in [*ours, *self.peers.ingests.values()]],
            "read_back": [found.row() for found in [*self.reads, *self.peers.reads]],
            "latency": [found.row() for found in self.latencies],
            "requests": [found.row() for found in self.loads],
            "missing": {**self.failed, **self.peers.missing},
        }

    def _ingest(self, peer: str, times: float) -> Target:
        theirs = self.peers.ingests.get(peer)
        value = None if self.ingest is None or theirs is None else self.ingest.rate / theirs.rate
        return _at_least(f"durable records/s, times {peer}", value, times)

    def _read_back(self, than: str, *, internal: bool) -> Target:
        """On the series that all were filled with."""
        theirs = [read.seconds for read in self.peers.reads if internal or read.documented]
        best = min(theirs, default=None)
        shared = {read.size for read in self.peers.reads}
        ours = next((read.seconds for read in self.reads if read.size in shared), None)
        value = None if best is None or ours is None else best / ours
        return _at_least(f"read-back of a series, times faster than {than}", value, 10)

    def _latency(self) -> Target:
        most = max(self.latencies, key=lambda found: found.watchers, default=None)
        watchers = 0 if most is None else most.watchers
        name = f"p99 from step to client with {watchers:,} watchers, ms"
        if most is None or most.missing or most.cut_off:
            return _below(name, None, LATENCY_MS)  # what is slowest did not come at all
        return _below(name, most.p99, LATENCY_MS)

    def _answers(self, name: str) -> Target:
        """Of the answers to one connection that waits for each: what a client sees of a service at ease."""
        found = [load.p99 for load in self.loads if load.name == name and load.connections == 1]
        value = found[0] if found else None
        return _below(f"p99 of job {name} with {self.jobs:,} jobs, ms", value, ANSWER_MS)


def _at_least(name: str, value: float | None, target: float) -> Target:
    return Target(name, value, f">= {target:g}", met=value is not None and value >= target)


def _below(name: str, value: float | None, target: float) -> Target:
    return Target(name, value, f"< {target:g}", met=value is not None and value < target)
