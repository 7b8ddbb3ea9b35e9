"""Parquet files: each row as an object, or what is wrong with it; what unpacks to too much is refused.

A small file can unpack to more than a machine holds: a text that is stored once may stand in a billion
rows. So only the columns of the row's format are read, texts stay in their dictionaries, and what a batch
would take is added up before it is unpacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import MAX_LINE_BYTES, Line, RowFormat, Scanned, format_of

MAX_ROWS = 10_000_000
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
"""As much text as an upload of JSON Lines may hold."""
MAX_FOOTER_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 256
BATCH_BYTES = 16 * 1024 * 1024
FOOTER_TAIL = 8  # the footer's length and the magic

Formats = Sequence[RowFormat[Any]]


class _Refused(Exception):
    """A file that is not read to its end."""


def scan(stream: BinaryIO, formats: Formats) -> Iterator[Scanned]:
    """Yield each row, or the list of what is wrong with it; never holds the file."""
    number = 0
    try:
        for batch in _batches(stream, formats):
            for row in batch:
                number += 1
                yield _checked(number, row)
    except _Refused as error:
        yield [Problem(None, "", str(error))]
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the file's
        reason = f"not a Parquet file that can be read ({_first_line(error)}); write it again"
        yield [Problem(None if number == 0 else number + 1, "", reason)]


def _checked(number: int, row: dict[str, Any] | None) -> Scanned:
    if row is None:
        reason = f"the row is longer than {MAX_LINE_BYTES} bytes; shorten it"
        return [Problem(number, "", reason)]
    return Line(number, _without_nulls(row))


def _batches(stream: BinaryIO, formats: Formats) -> Iterator[list[dict[str, Any] | None]]:
    """The rows in small batches; a row that is too long is None."""
    _check_footer(stream)
    # Not closed here: the stream is the caller's, and the reader holds nothing else.
    file = pq.ParquetFile(stream)
    columns = _columns(file.schema_arrow, formats)
    _check_metadata(file.metadata, columns)
    file = pq.ParquetFile(stream, metadata=file.metadata, read_dictionary=_leaves(file.metadata, columns))
    unpacked = 0
    for batch in _raw_batches(file, columns):
        unpacked += _unpacked_bytes(batch.to_struct_array())
        if unpacked > MAX_UNPACKED_BYTES:
            raise _Refused(
                f"unpacks to more than {MAX_UNPACKED_BYTES:,} bytes of text; split it into several files"
            )
        yield from _unpack(batch)


def _raw_batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The batches, none across two row groups: those have dictionaries of their own."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, [group], columns=columns, use_threads=False)


def _check_footer(stream: BinaryIO) -> None:
    """Refuse a footer that is too large to be true, before anything of it is read."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - FOOTER_TAIL))
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(0)
    if length > min(size, MAX_FOOTER_BYTES):
        raise _Refused("not a Parquet file that can be read (its footer is cut off); write it again")


def _columns(schema: pa.Schema, formats: Formats) -> list[str]:
    """The columns that the file's format reads; the others are never unpacked."""
    shown = format_of(schema.names)
    row_format = next((known for known in formats if known.name == shown), None)
    if row_format is None:
        wanted = "; or ".join(", ".join(known.needs) for known in formats)
        raise _Refused(f"its columns are {', '.join(schema.names)[:200]}; it needs {wanted}")
    if missing := [name for name in row_format.needs if name not in schema.names]:
        raise _Refused(f"has no column {missing[0]}; a row is {row_format.example}")
    return [name for name in (*row_format.needs, *row_format.takes) if name in schema.names]


def _check_metadata(metadata: pq.FileMetaData, columns: list[str]) -> None:
    """Refuse what is too large by the file's own word."""
    if metadata.num_rows > MAX_ROWS:
        raise _Refused(f"has {metadata.num_rows:,} rows; split it into files of at most {MAX_ROWS:,}")
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        chunks = [group.column(place) for place in range(group.num_columns)]
        size = sum(chunk.total_uncompressed_size for chunk in chunks if _column_name(chunk) in columns)
        if size > MAX_UNPACKED_BYTES:
            raise _Refused(f"row group {index + 1} unpacks to {size:,} bytes; write smaller row groups")
        if any(chunk.num_values > MAX_ROWS for chunk in chunks if _column_name(chunk) in columns):
            raise _Refused(
                f"row group {index + 1} has more than {MAX_ROWS:,} values; write smaller row groups"
            )


def _column_name(chunk: pq.ColumnChunkMetaData) -> str:
    return str(chunk.path_in_schema).partition(".")[0]


def _leaves(metadata: pq.FileMetaData, columns: list[str]) -> list[str]:
    """The texts within the columns, by their paths: those that are left in their dictionaries."""
    leaves = [metadata.schema.column(index) for index in range(metadata.num_columns)]
    return [
        leaf.path
        for leaf in leaves
        if leaf.path.partition(".")[0] in columns and leaf.physical_type == "BYTE_ARRAY"
    ]


def _unpack(batch: pa.RecordBatch) -> Iterator[list[dict[str, Any] | None]]:
    """The rows of a batch, halved until a half is small enough to be unpacked at once."""
    size = _unpacked_bytes(batch.to_struct_array())
    if size <= BATCH_BYTES and (batch.num_rows > 1 or size <= MAX_LINE_BYTES):
        yield batch.to_pylist()
    elif batch.num_rows == 1:
        yield [None]
    else:
        half = batch.num_rows // 2
        yield from _unpack(batch.slice(0, half))
        yield from _unpack(batch.slice(half))


def _unpacked_bytes(array: pa.Array) -> int:
    """How many bytes the values of an array take, each text counted wherever it stands."""
    kind = array.type
    if pa.types.is_struct(kind):
        return sum(_unpacked_bytes(field) for field in array.flatten())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return 8 * len(array) + _unpacked_bytes(array.flatten())
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return 8 * len(array) + (pc.sum(lengths.take(array.indices)).as_py() or 0)
    return 8 * len(array) + int(array.nbytes)


def _without_nulls(value: Any) -> Any:
    """A value without the keys that hold nothing: in Parquet, every row has every key."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]
