"""Running jobs, and what a trainer tells of them through its reporter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.live.peers.series import LAYERS, METRICS, point, values
from benchmarks.live.stack import Stack
from ist_core.records import StepRecord
from store import runs
from store.objects import LocalObjects
from tests.factories import make_job
from worker.reporter import Reporter
from worker.uploads import Uploads

LEASE_SECONDS = 3600.0


@contextmanager
def reporting(stack: Stack) -> Iterator[tuple[str, Reporter]]:
    """A new running job and its reporter; at the end of the block all that was emitted is stored."""
    with stack.database.session() as session:
        job_id = make_job(session).id
    with stack.database.session() as session:
        held = runs.claim(session, job_id, worker="bench", lease_seconds=LEASE_SECONDS)
    if held is None:
        raise RuntimeError(f"{job_id} could not be claimed")
    folder = stack.folder / job_id
    folder.mkdir()
    uploads = Uploads(LocalObjects(stack.settings.objects_dir), job_id, held.attempt, folder)
    reporter = Reporter(stack.database, stack.redis, uploads, job_id, held.attempt, spool=folder / "spool")
    try:
        yield job_id, reporter
    finally:
        reporter.close()


def record(step: int) -> StepRecord:
    """A step with the values that the other trackers are given, too."""
    given = values(step)
    return StepRecord(
        step=step,
        time=time.time(),
        metrics={name: given[name] for name in METRICS},
        importance=tuple(given[f"importance/{layer}"] for layer in range(LAYERS)),
        active=(),
    )


def point_record(step: int) -> StepRecord:
    """A step of the long series: one metric, and the count that each step has."""
    return StepRecord(
        step=step,
        time=time.time(),
        metrics={"loss": point(step), "trained_tokens": 512.0 * step},
        importance=(),
        active=(),
    )
