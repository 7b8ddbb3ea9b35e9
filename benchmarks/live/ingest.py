"""Durable records a second: from the first `emit` until all is committed, then read back and counted."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import func, select

from benchmarks.live.peers.series import VALUES
from benchmarks.live.runs import record, reporting
from benchmarks.live.stack import Stack
from store.tables import StepRecord


@dataclass(frozen=True, slots=True)
class Ingest:
    """How fast one way of logging is."""

    name: str
    records: int
    seconds: float
    version: str = ""

    @property
    def rate(self) -> float:
        """Durable records a second."""
        return self.records / self.seconds

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "version": self.version,
            "records": self.records,
            "values": self.records * VALUES,
            "seconds": self.seconds,
            "records_per_second": self.rate,
        }


def measure(stack: Stack, records: int) -> Ingest:
    """Ours, by the class that a trainer uses. Raises RuntimeError when a record is missing."""
    made = [record(step) for step in range(1, records + 1)]
    with reporting(stack) as (job_id, reporter):
        began = time.perf_counter()
        for item in made:
            reporter.emit(item)
        reporter.close()
        seconds = time.perf_counter() - began
    with stack.database.session() as session:
        stored = session.scalar(select(func.count()).where(StepRecord.job_id == job_id))
    if stored != records:
        raise RuntimeError(f"{stored} of {records} records are stored")
    return Ingest("Isthmus", records, seconds)
