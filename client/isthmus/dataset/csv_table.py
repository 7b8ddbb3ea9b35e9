"""CSV tables with a header: each record as a row of texts, or what is wrong with it (no torch here)."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import MAX_LINE_BYTES, Line, RowFormat, Scanned, format_of

DELIMITERS = (",", ";", "\t")
Formats = Sequence[RowFormat[Any]]

csv.field_size_limit(MAX_LINE_BYTES)  # the module's own limit is for cells of 128 KiB


def is_header(head: bytes, formats: Formats) -> bool:
    """Whether a file that begins with `head` is a table with the columns of one of the formats."""
    return _delimiter(_first_line(head), formats) is not None


def scan(stream: BinaryIO, formats: Formats) -> Iterator[Scanned]:
    """Yield each record below the header, or the list of what is wrong with it; never holds the file."""
    lines = _Lines(stream)
    try:
        yield from _records(lines, formats)
    except _Endless:
        # Where the next record begins cannot be told, so the scan ends here.
        reason = f"the record is longer than {MAX_LINE_BYTES} bytes; is a quotation mark left open?"
        yield [Problem(lines.record, "", reason)]


class _Endless(Exception):
    """A record over the limit."""


class _Lines(Iterator[str]):
    """The lines of a table as text, with what is known of the record that is being read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self.begin_record()

    def begin_record(self) -> None:
        """Count anew."""
        self.record = self.number + 1
        self.bytes = 0
        self.fault: Problem | None = None

    def __next__(self) -> str:
        raw = self._stream.readline(MAX_LINE_BYTES + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        self.bytes += len(raw)
        if self.bytes > MAX_LINE_BYTES:
            raise _Endless
        if self.number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is not UTF-8; save the file with UTF-8 encoding"
            self.fault = Problem(self.number, "", reason)
            return raw.decode("utf-8", "replace")


def _records(lines: _Lines, formats: Formats) -> Iterator[Scanned]:
    first = next(lines, "")
    delimiter = _delimiter(first, formats) or ","
    names = _names(first, delimiter)
    if problem := lines.fault or _header_problem(names, formats):
        yield [problem]
        return
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"not valid CSV ({error}); double the quotation marks within a cell"
            yield [Problem(lines.record, "", reason)]
            continue
        yield [lines.fault] if lines.fault else _row(lines.record, names, cells)


def _row(number: int, names: list[str], cells: list[str]) -> Scanned:
    if not cells:
        return [Problem(number, "", "the line is blank; remove it")]
    if len(cells) != len(names):
        reason = (
            f"has {len(cells)} cells, but the header names {len(names)} columns; "
            "put quotation marks around a cell that holds a comma or a line break"
        )
        return [Problem(number, "", reason)]
    return Line(number, dict(zip(names, cells, strict=True)))


def _header_problem(names: list[str], formats: Formats) -> Problem | None:
    flat = {row_format.name: row_format for row_format in formats if row_format.is_flat}
    shown = format_of(names)
    row_format = flat.get(shown) if shown else None
    if row_format is None:
        wanted = "; or ".join(", ".join(row_format.needs) for row_format in flat.values())
        given = ", ".join(names)[:200] or "nothing"
        return Problem(1, "", f"the header names {given}; a CSV file needs the columns {wanted}")
    if missing := [name for name in row_format.needs if name not in names]:
        return Problem(1, "", f"the header has no column {missing[0]}; a row is {row_format.example}")
    used = (*row_format.needs, *row_format.takes)
    if twice := [name for name in used if names.count(name) > 1]:
        return Problem(1, "", f"the header names the column {twice[0]} more than once; remove one")
    return None


def _first_line(head: bytes) -> str:
    return head.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0].decode("utf-8", "replace")


def _delimiter(header: str, formats: Formats) -> str | None:
    """What stands between the cells of a table with this header; None: no format has such columns."""
    flat = {row_format.name for row_format in formats if row_format.is_flat}
    return next((mark for mark in DELIMITERS if format_of(_names(header, mark)) in flat), None)


def _names(header: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []
