"""The formats of training files: told apart by a file's first row, and which method learns from which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Literal

from ist_core import jsonl
from ist_core.dataset import CHAT
from ist_core.errors import DatasetError, Problem
from ist_core.jsonl import FormatName, Line, RowFormat
from ist_core.preferences import PREFERENCE

FORMATS: Mapping[FormatName, RowFormat[Any]] = MappingProxyType({"chat": CHAT, "preference": PREFERENCE})
FORMAT_OF_METHOD: Mapping[Literal["supervised", "dpo"], RowFormat[Any]] = MappingProxyType(
    {"supervised": CHAT, "dpo": PREFERENCE}
)
EXAMPLES = " or ".join(row_format.example for row_format in FORMATS.values())


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a valid file holds."""

    format: FormatName
    rows: int


def check(
    stream: BinaryIO, *, max_problems: int = jsonl.MAX_PROBLEMS, param: str | None = "training_file"
) -> DatasetSummary:
    """Read `stream` (opened in binary mode) to its end and say what it holds.

    The first row that shows a format by its keys decides; every other row must be of that format.

    Raises:
        DatasetError: with the first `max_problems` problems and their total number.
    """
    row_format: RowFormat[Any] | None = None
    rows = total = 0
    problems: list[Problem] = []
    for line in jsonl.scan(stream, EXAMPLES):
        if row_format is None and isinstance(line, Line) and line.format is not None:
            row_format = FORMATS[line.format]
        faults = _faults(line, row_format)
        rows += not faults
        total += len(faults)
        problems += faults[: max_problems - len(problems)]
    if total or row_format is None:
        raise DatasetError(problems, total=total, param=param)
    return DatasetSummary(row_format.name, rows)


def _faults(line: Line | list[Problem], row_format: RowFormat[Any] | None) -> list[Problem]:
    if not isinstance(line, Line):
        return line
    if row_format is None:
        return [
            Problem(
                line.number,
                "",
                "is neither a chat row (it has no `messages`) nor a preference row (it has no "
                f"`preferred_output`); a row is {EXAMPLES}",
            )
        ]
    row = row_format.read(line)
    return row if isinstance(row, list) else []
