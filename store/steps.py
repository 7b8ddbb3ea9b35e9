"""Step records: append them in batches, read them as series."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from ist_core import records
from store.arrays import NULL, array_fields, micros
from store.blocks import Block
from store.driver import FLOAT4, INT2, copy_rows, driver_cursor
from store.rollups import read_layers, read_metrics, roll_up
from store.series import Progress, advance
from store.spans import WIDTHS, Span
from store.step_columns import block_of, score_matrix
from store.tables import StepRecord
from store.tenant import Tenant
from store.windows import Window, check_keys, step_range

MAX_STEPS = 10_000

COLUMNS = (
    "job_id",
    "step",
    "seq",
    "attempt",
    "time",
    "importance",
    "probabilities",
    "metrics",
    "active",
)
_SCALARS = struct.Struct(">iiiqiiiq")
_LENGTH = struct.Struct(">i")

Numbered = tuple[int, records.StepRecord]
"""A record and its sequence number."""


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
    time: list[float]
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
    reached = max(record.step for record in batch)
    progress = advance(session, job_id, attempt, len(batch), step=reached, trained_tokens=tokens)
    if progress is None:
        return False
    numbered = list(zip(progress.seqs, batch, strict=True))
    goes_on = batch[0].step > progress.before and all(one.step < two.step for one, two in pairwise(batch))
    fresh = numbered if goes_on else _unseen(session, job_id, numbered)
    if fresh:
        copy_rows(session, StepRecord.__tablename__, COLUMNS, _rows(job_id, attempt, fresh))
        _roll_up(session, job_id, progress, max(reached, progress.before), fresh, goes_on=goes_on)
    return True


def _unseen(session: Session, job_id: str, batch: Sequence[Numbered]) -> list[Numbered]:
    """Those whose step has no record yet, ascending. The job's row is locked: nobody else adds one."""
    steps = [record.step for _, record in batch]
    query = select(StepRecord.step).where(
        StepRecord.job_id == job_id, StepRecord.step.between(min(steps), max(steps))
    )
    seen = set(session.scalars(query))
    fresh: dict[int, Numbered] = {}
    for item in batch:
        if item[1].step not in seen:
            fresh.setdefault(item[1].step, item)
    return [fresh[step] for step in sorted(fresh)]


def _roll_up(
    session: Session,
    job_id: str,
    progress: Progress,
    reached: int,
    fresh: Sequence[Numbered],
    *,
    goes_on: bool,
) -> None:
    low = min(progress.before + 1, fresh[0][1].step)
    if (low - 1) // WIDTHS[1] == reached // WIDTHS[1]:
        return  # no bucket ends here
    block: Block | None = block_of([record for _, record in fresh]) if goes_on else None
    roll_up(session, job_id, low, reached, block)


def _rows(job_id: str, attempt: int, batch: Sequence[Numbered]) -> bytes:
    """Records as rows of COPY."""
    name = job_id.encode()
    head = struct.pack(f">hi{len(name)}s", len(COLUMNS), len(name), name)
    scores = _layer_fields([record.importance for _, record in batch])
    chances = _layer_fields([record.probabilities for _, record in batch])
    pieces = []
    for (seq, record), importance, probabilities in zip(batch, scores, chances, strict=True):
        # NaN and the infinities become null; numpy's numbers are taken as well as Python's.
        metrics = b"\x01" + orjson.dumps(record.metrics, option=orjson.OPT_SERIALIZE_NUMPY)
        pieces += [
            head,
            _SCALARS.pack(4, record.step, 8, seq, 4, attempt, 8, micros(record.time)),
            importance,
            probabilities if record.probabilities else NULL,
            _LENGTH.pack(len(metrics)),
            metrics,
            _active_field(tuple(record.active)),
        ]
    return b"".join(pieces)


def _layer_fields(rows: Sequence[Sequence[float]]) -> list[bytes]:
    """One float a layer, as fields; rows may differ in length, though the engine's do not."""
    if len({len(row) for row in rows}) == 1:
        return array_fields(FLOAT4, score_matrix(rows))
    return [array_fields(FLOAT4, score_matrix([row]))[0] for row in rows]


@lru_cache(maxsize=4096)
def _active_field(layers: tuple[int, ...]) -> bytes:
    """Layer numbers as a field: an array of int2."""
    items = [number for layer in layers for number in (2, layer)]
    size = 20 + 6 * len(layers)
    return struct.pack(f">6i{'ih' * len(layers)}", size, 1, 0, INT2, len(layers), 1, *items)


def metric_series(
    tenant: Tenant,
    job_id: str,
    *,
    keys: Sequence[str] | None = None,
    after_step: int = 0,
    window: Window | None = None,
    limit: int = MAX_STEPS,
) -> MetricSeries:
    """The metrics `keys` (None: all) of the first `limit` steps of a window (or after `after_step`).

    Raises UnknownMetrics for a key that no step of the job has told.
    """
    if keys is not None:
        check_keys(tenant, job_id, keys)
    span = _span(tenant, job_id, window or Window(after_step=after_step))
    if span is None:
        return MetricSeries([], [], {} if keys is None else {key: [] for key in keys})
    with driver_cursor(tenant.session) as cursor:
        axis, metrics = read_metrics(cursor, job_id, span, None if keys is None else tuple(keys), limit=limit)
    columns = zip(metrics.keys, metrics.mean.T.tolist(), strict=True)
    return MetricSeries(
        steps=axis.steps.tolist(),
        time=axis.time.tolist(),
        series={key: [None if math.isnan(value) else value for value in values] for key, values in columns},
    )


def importance_series(
    tenant: Tenant, job_id: str, *, after_step: int = 0, window: Window | None = None, limit: int = MAX_STEPS
) -> ImportanceSeries:
    """Scores, updated layers and probabilities of the first `limit` steps of a window, in step order."""
    span = _span(tenant, job_id, window or Window(after_step=after_step))
    if span is None:
        return ImportanceSeries([], [], [], [], [])
    with driver_cursor(tenant.session) as cursor:
        axis, layers = read_layers(cursor, job_id, span, limit=limit)
    rows = zip(layers.probabilities.tolist(), layers.told.tolist(), strict=True)
    return ImportanceSeries(
        steps=axis.steps.tolist(),
        time=axis.time.tolist(),
        importance=layers.importance.tolist(),
        active=[row.nonzero()[0].tolist() for row in layers.updated],
        probabilities=[chances if told else None for chances, told in rows],
    )


def _span(tenant: Tenant, job_id: str, window: Window) -> Span | None:
    steps = step_range(tenant, job_id, window)
    return None if steps is None else Span(0, steps[0], steps[-1])
