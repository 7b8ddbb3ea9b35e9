"""Roll-ups of step records: what many steps come to, kept so that a long series is read in a few rows.

They are written in the transaction that stores the records, from what is stored: a step that an attempt
repeats counts once, and in whatever batches the records came, the roll-ups are the same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from psycopg import Cursor
from sqlalchemy import delete
from sqlalchemy.orm import Session

from store.arrays import NULL, array_fields, matrix_of, micros, unix_seconds
from store.blocks import Axis, Block, Layers, Metrics, join_blocks, join_metrics
from store.driver import FLOAT4, FLOAT8, INT4, copy_rows, driver_cursor
from store.spans import WIDTHS, Span
from store.step_columns import axis_of, sent_layers, sent_metrics
from store.tables import StepRollup

COLUMNS = (
    "job_id",
    "level",
    "bucket",
    "step",
    "time",
    "count",
    "keys",
    "told",
    "mean",
    "low",
    "high",
    "importance",
    "updated",
    "probabilities",
    "probable",
)
_SCALARS = struct.Struct(">ihiiiiiqii")
_COUNT = struct.Struct(">ii")

RECORDS = "FROM step_records WHERE job_id = %s AND step BETWEEN %s AND %s ORDER BY step LIMIT %s"
ROLLUPS = "FROM step_rollups WHERE job_id = %s AND level = %s AND bucket BETWEEN %s AND %s ORDER BY bucket"
RECORD_METRICS = f"SELECT step, time, metrics {RECORDS}"
RECORD_LAYERS = f"SELECT step, time, importance, active, probabilities {RECORDS}"
ROLLUP_METRICS = f"SELECT step, time, count, keys, told, mean, low, high {ROLLUPS}"
ROLLUP_LAYERS = f"SELECT step, time, count, importance, updated, probabilities, probable {ROLLUPS}"

Row = Sequence[Any]


def roll_up(session: Session, job_id: str, low: int, high: int, fresh: Block | None) -> None:
    """Write the buckets that hold a step from `low` on and end by step `high`, which the job has reached.

    `fresh` are all the records from its first step on; None: they must be read, and buckets may have rows
    already, which are replaced.
    """
    known, known_from = fresh, high + 1 if fresh is None else int(fresh.axis.steps[0])
    for level in range(1, len(WIDTHS)):
        width, narrower = WIDTHS[level], WIDTHS[level - 1]
        first, end = (low - 1) // width, high // width
        if first >= end:
            return  # nor does a wider one end here
        stored = min(known_from - 1, end * width)
        parts = [_read(session, job_id, level - 1, first * width // narrower, stored // narrower)]
        if known is not None:
            parts.append(known.first(int(np.searchsorted(known.axis.steps, end * width, "right"))))
        parts = [part for part in parts if len(part.axis.steps)]
        if fresh is None:
            session.execute(
                delete(StepRollup).where(
                    StepRollup.job_id == job_id,
                    StepRollup.level == level,
                    StepRollup.bucket.between(first, end - 1),
                )
            )
        if not parts:
            known, known_from = None, high + 1
            continue
        known, known_from = join_blocks(parts).merged(width), first * width + 1
        copy_rows(session, StepRollup.__tablename__, COLUMNS, _rows(job_id, level, known))


def _read(session: Session, job_id: str, level: int, first: int, end: int) -> Block:
    """Buckets `first` .. `end` - 1 of a level."""
    # Of level 0 a bucket is a step, and the first is 1.
    span = Span(0, first + 1, end) if level == 0 else Span(level, first, end - 1)
    with driver_cursor(session) as cursor:
        axis, metrics = read_metrics(cursor, job_id, span)
        return Block(axis, metrics, read_layers(cursor, job_id, span)[1])


def read_metrics(
    cursor: Cursor[Row],
    job_id: str,
    span: Span,
    keys: tuple[str, ...] | None = None,
    *,
    limit: int | None = None,
) -> tuple[Axis, Metrics]:
    """The metrics `keys` (None: all there are) of a span, row by row; of single steps the first `limit`."""
    if span.level == 0:
        rows = cursor.execute(RECORD_METRICS, (job_id, span.first, span.last, limit)).fetchall()
        steps, times, told = _columns(rows, 3)
        return axis_of(steps, times), sent_metrics(told, keys)
    place = (job_id, span.level, span.first, span.last)
    rows = cursor.execute(ROLLUP_METRICS, place).fetchall()
    # Most often one group: a metric that is told at all is told within a bucket.
    parts = [_metrics(sent, list(group)) for sent, group in groupby(rows, itemgetter(3))]
    metrics = join_metrics(parts) if parts else sent_metrics([])
    return _axis(rows), metrics if keys is None else metrics.chosen(keys)


def read_layers(
    cursor: Cursor[Row], job_id: str, span: Span, *, limit: int | None = None
) -> tuple[Axis, Layers]:
    """Scores, updates and chances of a span, row by row; of single steps the first `limit`."""
    if span.level == 0:
        rows = cursor.execute(RECORD_LAYERS, (job_id, span.first, span.last, limit)).fetchall()
        steps, times, importance, active, probabilities = _columns(rows, 5)
        return axis_of(steps, times), sent_layers(importance, active, probabilities)
    place = (job_id, span.level, span.first, span.last)
    rows = cursor.execute(ROLLUP_LAYERS, place).fetchall()
    *_, importance, updated, probabilities, probable = _columns(rows, 7)
    scores, chances = matrix_of(FLOAT4, importance), matrix_of(FLOAT4, probabilities)
    if chances.shape[1] == 0:
        chances = np.full(scores.shape, np.nan, np.float32)
    told = np.array(probable, np.int64)
    return _axis(rows), Layers(scores, matrix_of(INT4, updated).astype(np.int64), chances, told)


def _columns(rows: Sequence[Row], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _axis(rows: Sequence[Row]) -> Axis:
    return Axis(
        np.array([row[0] for row in rows], np.int64),
        unix_seconds([row[1] for row in rows]),
        np.array([row[2] for row in rows], np.int64),
    )


def _metrics(keys: bytes, rows: Sequence[Row]) -> Metrics:
    *_, told, mean, low, high = _columns(rows, 8)
    return Metrics(
        tuple(orjson.loads(keys[1:])),
        matrix_of(INT4, told).astype(np.int64),
        matrix_of(FLOAT8, mean),
        matrix_of(FLOAT8, low),
        matrix_of(FLOAT8, high),
    )


def _rows(job_id: str, level: int, block: Block) -> bytes:
    """Closed buckets as rows of COPY."""
    axis, metrics, layers = block.axis, block.metrics, block.layers
    name, keys = job_id.encode(), b"\x01" + orjson.dumps(metrics.keys)
    head = struct.pack(f">hi{len(name)}s", len(COLUMNS), len(name), name)
    names = struct.pack(">i", len(keys)) + keys
    arrays = zip(
        array_fields(INT4, metrics.told),
        array_fields(FLOAT8, metrics.mean),
        array_fields(FLOAT8, metrics.low),
        array_fields(FLOAT8, metrics.high),
        array_fields(FLOAT4, layers.importance),
        array_fields(INT4, layers.updated),
        array_fields(FLOAT4, layers.probabilities),
        strict=True,
    )
    pieces = []
    for step, moment, count, probable, (*told, chances) in zip(
        axis.steps.tolist(),
        axis.time.tolist(),
        axis.count.tolist(),
        layers.told.tolist(),
        arrays,
        strict=True,
    ):
        bucket = (step - 1) // WIDTHS[level]
        scalars = _SCALARS.pack(2, level, 4, bucket, 4, step, 8, micros(moment), 4, count)
        pieces += [head, scalars, names, *told, chances if probable else NULL, _COUNT.pack(4, probable)]
    return b"".join(pieces)
