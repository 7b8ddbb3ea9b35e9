"""Step records: append them in batches, read them as series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ist_core import records
from store.events import plain
from store.series import allocate
from store.tables import Job, StepRecord
from store.tenant import Tenant

MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """Metrics by step; `time` is in Unix seconds; a missing or non-finite value is None."""

    steps: list[int]
    time: list[float]
    series: dict[str, list[float | None]]


@dataclass(frozen=True, slots=True)
class ImportanceSeries:
    """Per step: one score a layer, the layers that were updated, and each layer's chance to be one (None: it
    was not told)."""

    steps: list[int]
    importance: list[list[float]]
    active: list[list[int]]
    probabilities: list[list[float] | None]


def append_steps(session: Session, job_id: str, attempt: int, batch: Sequence[records.StepRecord]) -> bool:
    """Append step records in order, and move the job's progress; False: fenced off, nothing written.

    A step that an earlier attempt has already stored keeps its first record: a reader never sees a step
    twice, and progress never goes back.
    """
    if not batch:
        return True
    tokens = int(batch[-1].metrics["trained_tokens"])
    seqs = allocate(
        session,
        job_id,
        attempt,
        len(batch),
        step=func.greatest(Job.step, batch[-1].step),
        trained_tokens=func.greatest(Job.trained_tokens, tokens),
    )
    if seqs is None:
        return False
    rows = [
        {
            "job_id": job_id,
            "step": record.step,
            "seq": seq,
            "attempt": attempt,
            "time": datetime.fromtimestamp(record.time, UTC),
            "metrics": plain(dict(record.metrics)),
            "importance": list(record.importance),
            "active": list(record.active),
            "probabilities": list(record.probabilities) or None,
        }
        for seq, record in zip(seqs, batch, strict=True)
    ]
    statement = insert(StepRecord).on_conflict_do_nothing(index_elements=["job_id", "step"])
    session.execute(statement, rows)
    return True


def metric_series(
    tenant: Tenant,
    job_id: str,
    *,
    keys: Sequence[str] | None = None,
    after_step: int = 0,
    limit: int = MAX_STEPS,
) -> MetricSeries:
    """The metrics `keys` (None: all there are) of up to `limit` steps after `after_step`, in step order."""
    columns = select(StepRecord.step, StepRecord.time, StepRecord.metrics)
    rows = tenant.session.execute(_window(columns, tenant, job_id, after_step, limit)).all()
    names = sorted({name for row in rows for name in row.metrics}) if keys is None else keys
    return MetricSeries(
        steps=[row.step for row in rows],
        time=[row.time.timestamp() for row in rows],
        series={name: [row.metrics.get(name) for row in rows] for name in names},
    )


def importance_series(
    tenant: Tenant, job_id: str, *, after_step: int = 0, limit: int = MAX_STEPS
) -> ImportanceSeries:
    """Scores, updated layers and probabilities of up to `limit` steps after `after_step`, in step order."""
    columns = select(StepRecord.step, StepRecord.importance, StepRecord.active, StepRecord.probabilities)
    rows = tenant.session.execute(_window(columns, tenant, job_id, after_step, limit)).all()
    return ImportanceSeries(
        steps=[row.step for row in rows],
        importance=[row.importance for row in rows],
        active=[row.active for row in rows],
        probabilities=[row.probabilities for row in rows],
    )


def _window(
    columns: Select[*tuple[Any, ...]], tenant: Tenant, job_id: str, after_step: int, limit: int
) -> Select[*tuple[Any, ...]]:
    return (
        columns.where(StepRecord.job_id == tenant.job_id(job_id), StepRecord.step > after_step)
        .order_by(StepRecord.step)
        .limit(limit)
    )
