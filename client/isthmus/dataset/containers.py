"""The containers of data files, told by a file's first bytes: JSON Lines, CSV, Parquet (no torch here)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Generic

from isthmus.dataset import csv_table, jsonl
from isthmus.dataset.problems import DatasetError, Problem
from isthmus.dataset.rows import MAX_PROBLEMS, ContainerName, Line, Row, RowFormat, Scanned
from isthmus.errors import MissingExtra

HEAD_BYTES = 64 * 1024
PARQUET_MAGIC = b"PAR1"
PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "ZIP (as Excel's .xlsx are)"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
)
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class RowReader(Generic[Row]):
    """Reads the lines of one file: the first row that shows a format by its keys decides for all."""

    def __init__(self, formats: Sequence[RowFormat[Row]]) -> None:
        self._formats = formats
        self.format: RowFormat[Row] | None = None
        """None: no row has shown it yet."""

    def read(self, item: Scanned) -> Row | list[Problem]:
        """A line's row, or what is wrong with it."""
        if not isinstance(item, Line):
            return item
        if self.format is None:
            self.format = next((known for known in self._formats if known.name == item.format), None)
        if self.format is not None:
            return self.format.read(item)
        return [Problem(item.number, "", self._not_a_row(item))]

    def _not_a_row(self, line: Line) -> str:
        what = f"is a {line.format} row" if line.format else "is a row of no known format"
        return f"{what}; a row is {examples(self._formats)}"


def scan(
    stream: BinaryIO, formats: Sequence[RowFormat[Row]], *, name: str = ""
) -> tuple[ContainerName, Iterator[Scanned]]:
    """Say what `stream`, which must be seekable, is, and yield its rows or what is wrong with them.

    The bytes decide; the file's `name` is only asked when they do not say.

    Raises:
        MissingExtra: for a Parquet file, where pyarrow is not installed.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    if problem := _not_data(head):
        return "jsonl", iter([[problem]])
    if head.startswith(PARQUET_MAGIC):
        return "parquet", _scan_parquet(stream, formats)
    if _is_table(head, formats, name):
        return "csv", csv_table.scan(stream, formats)
    return "jsonl", jsonl.scan(stream, examples(formats))


def good_rows(stream: BinaryIO, formats: Sequence[RowFormat[Row]]) -> Iterator[Row]:
    """Yield the rows of a file that was checked before; never holds the file.

    Raises:
        DatasetError: at the first row that cannot be used after all.
    """
    reader = RowReader(formats)
    for item in scan(stream, formats)[1]:
        row = reader.read(item)
        if isinstance(row, list):
            raise DatasetError(row, param=None)
        yield row


def load(path: Path, formats: Sequence[RowFormat[Row]], *, param: str | None) -> list[Row]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    reader = RowReader(formats)
    try:
        with path.open("rb") as stream:
            for item in scan(stream, formats, name=path.name)[1]:
                read = reader.read(item)
                if isinstance(read, list):
                    problems += read
                else:
                    rows.append(read)
    except OSError as error:
        reason = f"{path.name} cannot be read ({error.strerror}); give the path of a data file"
        raise DatasetError([Problem(None, "", reason)], param=param) from error
    if not rows and not problems:
        problems = [no_rows(formats)]
    if problems:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param=param)
    return rows


def examples(formats: Sequence[RowFormat[Row]]) -> str:
    """What a row of each of the formats looks like."""
    return " or ".join(row_format.example for row_format in formats)


def no_rows(formats: Sequence[RowFormat[Row]]) -> Problem:
    """A file of which nothing is wrong, only that there is nothing in it."""
    return Problem(None, "", f"the file has no rows; it needs at least one such as {examples(formats)}")


def _not_data(head: bytes) -> Problem | None:
    """What is wrong with a file that is no data file by its first bytes."""
    if kind := next((kind for magic, kind in PACKED if head.startswith(magic)), None):
        reason = f"is compressed: {kind}; upload it uncompressed, as JSON Lines, CSV or Parquet"
        return Problem(None, "", reason)
    if head.startswith(UTF16):
        return Problem(None, "", "is UTF-16 text; save the file with UTF-8 encoding")
    return None


def _scan_parquet(stream: BinaryIO, formats: Sequence[RowFormat[Row]]) -> Iterator[Scanned]:
    try:
        from isthmus.dataset import parquet
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pyarrow"):
            raise
        raise MissingExtra("Parquet files need pyarrow to be read: pip install 'isthmus[parquet]'") from error
    return parquet.scan(stream, formats)


def _is_table(head: bytes, formats: Sequence[RowFormat[Row]], name: str) -> bool:
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")) or not head:
        return False
    return csv_table.is_header(head, formats) or name.lower().endswith((".csv", ".tsv"))
