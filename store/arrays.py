"""PostgreSQL's binary arrays and times as numpy's, many rows at once.

An array is sent as dimensions, a flag for NULLs, the elements' type, and for each dimension its size and
lower bound, four bytes each; then every element with its length before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.driver import FLOAT4, FLOAT8, INT2, INT4

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

NULL = b"\xff\xff\xff\xff"
"""A NULL field of a row."""
_HEAD_BYTES = 20
_EPOCH = 946_684_800
"""PostgreSQL counts microseconds from 2000-01-01, in Unix seconds."""
_TYPES = {FLOAT4: ">f4", FLOAT8: ">f8", INT2: ">i2", INT4: ">i4"}


def array_fields(oid: int, matrix: NDArray[Any]) -> list[bytes]:
    """Each row of a matrix as a field of a COPY row: an array of the type `oid`."""
    rows, width = matrix.shape
    dtype = np.dtype(_TYPES[oid])
    item = np.dtype([("bytes", ">i4"), ("value", dtype)])
    field = np.dtype([("head", ">i4", (6,)), ("items", item, (width,))])
    fields = np.zeros(rows, field)
    fields["head"] = (field.itemsize - 4, 1, 0, oid, width, 1)
    fields["items"]["bytes"] = dtype.itemsize
    with np.errstate(over="ignore"):  # beyond float4's range: infinity, as PostgreSQL itself has it
        fields["items"]["value"] = matrix
    whole, size = fields.tobytes(), field.itemsize
    return [whole[at : at + size] for at in range(0, rows * size, size)]


def matrix_of(oid: int, values: Sequence[bytes | None]) -> NDArray[Any]:
    """Arrays of one type, one a row; of shorter ones and of NULLs the rest is NaN (integers: 0)."""
    flat, lengths = ragged(oid, values)
    width = int(lengths.max(initial=0))
    if (lengths == width).all():
        return flat.reshape(len(values), width)
    matrix = np.full((len(values), width), np.nan if flat.dtype.kind == "f" else 0, flat.dtype)
    matrix[np.arange(width) < lengths[:, None]] = flat
    return matrix


def ragged(oid: int, values: Sequence[bytes | None]) -> tuple[NDArray[Any], Ints]:
    """The elements of many arrays in one row, and how many each array has."""
    dtype = np.dtype(_TYPES[oid])
    item = np.dtype([("bytes", ">i4"), ("value", dtype)])
    bodies = [b"" if value is None else value[_HEAD_BYTES:] for value in values]
    flat = np.frombuffer(b"".join(bodies), item)["value"].astype(dtype.newbyteorder("="))
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies)) // item.itemsize
    return flat, lengths


def micros(seconds: float) -> int:
    """A time in Unix seconds as PostgreSQL sends it."""
    return round((seconds - _EPOCH) * 1e6)


def unix_seconds(values: Sequence[bytes]) -> NDArray[np.float64]:
    """Times as PostgreSQL sends them, in Unix seconds."""
    sent = np.frombuffer(b"".join(values), ">i8").astype(np.int64)
    return (sent + _EPOCH * 1_000_000) / 1e6
