"""A job's step records as a file: CSV, JSON Lines, Arrow or Parquet, written while it is sent."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from store.step_pages import StepPage

_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE

Format = Literal["csv", "jsonl", "arrow", "parquet"]


@dataclass(frozen=True, slots=True)
class Columns:
    """What every row of an export has."""

    metrics: tuple[str, ...]
    layers: int


class Outbox(io.RawIOBase):
    """What a writer has written and is not yet sent."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._sent = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """How much was written in all."""
        return self._sent + sum(map(len, self._parts))

    def write(self, data: Any) -> int:
        """Keep some bytes."""
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """All that is there."""
        whole, self._parts = b"".join(self._parts), []
        self._sent += len(whole)
        return whole


def csv(pages: Iterable[StepPage], columns: Columns) -> Iterator[bytes]:
    """A column a metric, and for each layer its score, update (1 or 0) and chance; empty: not told."""
    box = Outbox()
    with pa.csv.CSVWriter(box, _flat(columns)) as writer:
        for page in pages:
            layers = page.block.layers
            parts = (layers.importance, layers.updated, layers.probabilities)
            flat = [column for part in parts for column in _widened(part, columns.layers).T]
            arrays = [pa.array(column, from_pandas=True) for column in map(np.ascontiguousarray, flat)]
            writer.write_batch(pa.record_batch([*_scalars(page), *arrays], schema=_flat(columns)))
            yield box.take()
    yield box.take()


def jsonl(pages: Iterable[StepPage], columns: Columns) -> Iterator[bytes]:
    """A line a step, as in the stream, and the attempt that made it."""
    for page in pages:
        rows = range(len(page.attempts))
        yield b"".join(orjson.dumps(_record(page, row, columns), option=_JSON) for row in rows)


def arrow(pages: Iterable[StepPage], columns: Columns) -> Iterator[bytes]:
    """Arrow's stream format: a column a metric, and lists by layer."""
    box = Outbox()
    with pa.ipc.new_stream(box, _nested(columns)) as writer:
        for page in pages:
            writer.write_batch(_batch(page, columns))
            yield box.take()
    yield box.take()


def parquet(pages: Iterable[StepPage], columns: Columns) -> Iterator[bytes]:
    """The same columns as Parquet."""
    box = Outbox()
    with pa.parquet.ParquetWriter(box, _nested(columns), compression="zstd") as writer:
        for page in pages:
            writer.write_batch(_batch(page, columns))
            yield box.take()
    yield box.take()


WRITERS: dict[Format, tuple[str, Callable[[Iterable[StepPage], Columns], Iterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", csv),
    "jsonl": ("application/jsonl", jsonl),
    "arrow": ("application/vnd.apache.arrow.stream", arrow),
    "parquet": ("application/vnd.apache.parquet", parquet),
}
"""By format: its media type, and what writes it."""


def _record(page: StepPage, row: int, columns: Columns) -> dict[str, Any]:
    axis, layers = page.block.axis, page.block.layers
    metrics = zip(columns.metrics, page.block.metrics.mean[row].tolist(), strict=True)
    return {
        "step": axis.steps[row],
        "time": axis.time[row],
        "attempt": page.attempts[row],
        "metrics": {name: value for name, value in metrics if not math.isnan(value)},
        "importance": layers.importance[row],
        "active": layers.updated[row].nonzero()[0],
        "probabilities": layers.probabilities[row] if layers.told[row] else None,
    }


def _fields(columns: Columns) -> list[tuple[str, pa.DataType]]:
    metrics = [(name, pa.float64()) for name in columns.metrics]
    return [("step", pa.int32()), ("time", pa.float64()), ("attempt", pa.int32()), *metrics]


def _nested(columns: Columns) -> pa.Schema:
    scores = pa.list_(pa.float32())
    layers = [("importance", scores), ("active", pa.list_(pa.int16())), ("probabilities", scores)]
    return pa.schema([*_fields(columns), *layers])


def _flat(columns: Columns) -> pa.Schema:
    kinds = (("importance", pa.float32()), ("active", pa.int8()), ("probabilities", pa.float32()))
    layers = [(f"{kind}.{layer}", dtype) for kind, dtype in kinds for layer in range(columns.layers)]
    return pa.schema([*_fields(columns), *layers])


def _scalars(page: StepPage) -> list[pa.Array]:
    axis = page.block.axis
    metrics = [_nullable(column) for column in page.block.metrics.mean.T]
    numbers = [pa.array(column, pa.int32()) for column in (axis.steps, page.attempts)]
    return [numbers[0], pa.array(axis.time), numbers[1], *metrics]


def _batch(page: StepPage, columns: Columns) -> pa.RecordBatch:
    layers = page.block.layers
    rows, active = layers.updated.nonzero()
    lists = [
        _lists(_single(layers.importance), _even(layers.importance)),
        _lists(pa.array(active, pa.int16()), np.searchsorted(rows, np.arange(len(layers.told) + 1))),
        _lists(_single(layers.probabilities), _even(layers.probabilities), layers.told == 0),
    ]
    return pa.record_batch([*_scalars(page), *lists], schema=_nested(columns))


def _lists(values: pa.Array, offsets: NDArray[Any], missing: NDArray[Any] | None = None) -> pa.Array:
    mask = None if missing is None else pa.array(missing)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask)


def _single(matrix: NDArray[Any]) -> pa.Array:
    return pa.array(np.ascontiguousarray(matrix).ravel(), pa.float32())


def _even(matrix: NDArray[Any]) -> NDArray[Any]:
    offsets: NDArray[Any] = np.arange(len(matrix) + 1) * matrix.shape[1]
    return offsets


def _nullable(column: NDArray[Any]) -> pa.Array:
    return pa.array(np.ascontiguousarray(column), from_pandas=True)


def _widened(matrix: NDArray[Any], layers: int) -> NDArray[Any]:
    """So many columns, also where a page has fewer."""
    fill = np.nan if matrix.dtype.kind == "f" else 0
    wide = np.full((len(matrix), layers), fill, matrix.dtype)
    wide[:, : matrix.shape[1]] = matrix
    return wide
