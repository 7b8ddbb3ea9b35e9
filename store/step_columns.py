"""Step records as columns: the engine's, and those that PostgreSQL sends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson

from ist_core.records import StepRecord
from store.arrays import matrix_of, ragged, unix_seconds
from store.blocks import F8, Axis, Block, Layers, Metrics
from store.driver import FLOAT4, INT2

Values = Mapping[str, float | None]


def block_of(records: Sequence[StepRecord]) -> Block:
    """The engine's records, in ascending order of their steps."""
    axis = Axis(
        np.array([record.step for record in records], np.int64),
        np.array([record.time for record in records], np.float64),
        np.ones(len(records), np.int64),
    )
    scores = score_matrix([record.importance for record in records])
    chances = score_matrix([record.probabilities for record in records])
    told = np.fromiter((len(record.probabilities) > 0 for record in records), np.int64, len(records))
    if chances.shape[1] == 0:
        chances = np.full(scores.shape, np.nan)
    updated = np.zeros(scores.shape, np.int64)
    rows = np.repeat(np.arange(len(records)), [len(record.active) for record in records])
    updated[rows, [layer for record in records for layer in record.active]] = 1
    layers = Layers(_single(scores), updated, _single(chances), told)
    return Block(axis, metrics_of([record.metrics for record in records]), layers)


def score_matrix(rows: Sequence[Sequence[float]]) -> F8:
    """One row a record; of shorter ones the rest is NaN."""
    width = max(map(len, rows))
    if all(len(row) == width for row in rows):
        return np.array(rows, np.float64).reshape(len(rows), width)
    return np.array([[*row, *[np.nan] * (width - len(row))] for row in rows], np.float64)


def metrics_of(rows: Sequence[Values], keys: Iterable[str] | None = None) -> Metrics:
    """The metrics `keys` (None: all there are) of single steps; one that is not finite was not told."""
    names = tuple(sorted({key for row in rows for key in row}) if keys is None else keys)
    values = np.array([[row.get(name) for name in names] for row in rows], np.float64)
    values = values.reshape(len(rows), len(names))
    told = np.isfinite(values)
    values = np.where(told, values, np.nan)
    return Metrics(names, told.astype(np.int64), values, values, values)


def sent_metrics(rows: Sequence[bytes], keys: Iterable[str] | None = None) -> Metrics:
    """The same of `step_records.metrics`, as PostgreSQL sends it: JSON after a byte that says the version."""
    return metrics_of([orjson.loads(memoryview(row)[1:]) for row in rows], keys)


def sent_layers(
    importance: Sequence[bytes], active: Sequence[bytes], probabilities: Sequence[bytes | None]
) -> Layers:
    """The columns of `step_records` by layer, as PostgreSQL sends them."""
    scores = matrix_of(FLOAT4, importance)
    chances = matrix_of(FLOAT4, probabilities)
    if chances.shape[1] == 0:
        chances = np.full(scores.shape, np.nan, np.float32)
    updated = np.zeros(scores.shape, np.int64)
    layers, lengths = ragged(INT2, active)
    updated[np.repeat(np.arange(len(active)), lengths), layers] = 1
    told = np.fromiter((row is not None for row in probabilities), np.int64, len(probabilities))
    return Layers(scores, updated, chances, told)


def axis_of(steps: Sequence[int], times: Sequence[bytes]) -> Axis:
    """Single steps and their times, as PostgreSQL sends them."""
    return Axis(np.array(steps, np.int64), unix_seconds(times), np.ones(len(steps), np.int64))


def _single(matrix: F8) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with np.errstate(over="ignore"):
        return matrix.astype(np.float32)
