"""The jobs as PostgreSQL has them now, in the format that Prometheus scrapes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from store.gauges import LiveJobs, RunningJob, ended_jobs, live_exports, live_jobs, running_jobs
from store.tables import ExportState, State

ENDS = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
OF_A_STEP = {
    "step_seconds": ("isthmus_job_step_seconds", "Seconds that the latest step took."),
    "tokens_per_second": ("isthmus_job_tokens_per_second", "Tokens that the latest step took in a second."),
    "memory_bytes": ("isthmus_job_memory_peak_bytes", "Peak memory of the trainer, or of its GPU, so far."),
    "loss": ("isthmus_job_loss", "Training loss of the latest step."),
}
"""Names of step metrics, and the gauges that show them."""


def expose(families: Iterable[Metric]) -> bytes:
    """Families in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Fixed(list(families)))
    return generate_latest(registry)


def job_families(session: Session, project_id: str | None) -> list[Metric]:
    """Queue, states and running jobs of a project; None: of all."""
    live = live_jobs(session, project_id)
    return [
        *_queue(live),
        *_states(live, ended_jobs(session, project_id)),
        *_running(running_jobs(session, project_id)),
        _exports(live_exports(session, project_id)),
    ]


def _exports(counts: dict[tuple[str, ExportState], int]) -> Metric:
    family = GaugeMetricFamily(
        "isthmus_exports", "Exports that have not ended, by state.", labels=("project", "state")
    )
    for (project_id, state), count in sorted(counts.items()):
        family.add_metric((project_id, state.value), count)
    return family


def database_up(up: bool) -> Metric:
    """Whether PostgreSQL answered this scrape; while it does not, nothing is told of jobs."""
    return GaugeMetricFamily("isthmus_database_up", "1: PostgreSQL answered.", value=float(up))


class _Fixed(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _queue(live: list[LiveJobs]) -> Iterator[Metric]:
    labels = ["project", "priority"]
    depth = GaugeMetricFamily("isthmus_queue_jobs", "Jobs that wait for a worker.", labels=labels)
    oldest = GaugeMetricFamily(
        "isthmus_queue_oldest_seconds", "Seconds since the oldest waiting job was created.", labels=labels
    )
    now = time.time()
    for jobs in live:
        if jobs.state is State.QUEUED:
            depth.add_metric([jobs.project_id, str(jobs.priority)], jobs.count)
            oldest.add_metric([jobs.project_id, str(jobs.priority)], max(0.0, now - jobs.oldest.timestamp()))
    yield depth
    yield oldest


def _states(live: list[LiveJobs], ended: dict[State, int]) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "isthmus_jobs", "Jobs that have not ended, by state.", labels=["project", "state"]
    )
    sums: dict[tuple[str, State], int] = {}
    for jobs in live:
        place = (jobs.project_id, jobs.state)
        sums[place] = sums.get(place, 0) + jobs.count
    for (project_id, state), count in sums.items():
        now.add_metric([project_id, state.value], count)
    ends = CounterMetricFamily("isthmus_jobs_ended", "Jobs that have ended, by how.", labels=["state"])
    for state in ENDS:
        ends.add_metric([state.value], ended.get(state, 0))
    yield now
    yield ends


def _running(jobs: list[RunningJob]) -> Iterator[Metric]:
    labels = ["job", "project"]
    step = GaugeMetricFamily("isthmus_job_step", "The latest step of a running job.", labels=labels)
    total = GaugeMetricFamily("isthmus_job_total_steps", "All steps of a running job.", labels=labels)
    overhead = GaugeMetricFamily(
        "isthmus_job_ist_overhead_ratio",
        "Share of the latest step's time that importance sampling took.",
        labels=labels,
    )
    of_a_step = {key: GaugeMetricFamily(name, text, labels=labels) for key, (name, text) in OF_A_STEP.items()}
    for job in jobs:
        whose = [job.job_id, job.project_id]
        step.add_metric(whose, job.step)
        if job.total_steps is not None:
            total.add_metric(whose, job.total_steps)
        for key, family in of_a_step.items():
            if (value := job.metrics.get(key)) is not None:
                family.add_metric(whose, value)
        if (share := _ist_share(job)) is not None:
            overhead.add_metric(whose, share)
    yield from (step, total, overhead, *of_a_step.values())


def _ist_share(job: RunningJob) -> float | None:
    """A value is null where it was not finite."""
    seconds, whole = job.metrics.get("ist_seconds"), job.metrics.get("step_seconds")
    return seconds / whole if seconds is not None and whole else None
