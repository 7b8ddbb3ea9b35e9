"""The formats of training files: what an upload is checked for, and which method learns from which."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO, Literal

from isthmus.dataset import containers
from isthmus.dataset.chat import ChatRow
from isthmus.dataset.chat_rows import CHAT_FORMATS
from isthmus.dataset.oddities import oddities
from isthmus.dataset.preferences import PREFERENCE_FORMATS, PreferenceRow
from isthmus.dataset.problems import DatasetError, Problem
from isthmus.dataset.rows import MAX_PROBLEMS, ContainerName, FormatName, RowFormat

FORMATS_OF_METHOD: Mapping[Literal["supervised", "dpo"], Sequence[RowFormat[Any]]] = MappingProxyType(
    {"supervised": CHAT_FORMATS, "dpo": PREFERENCE_FORMATS}
)
FORMATS: Mapping[FormatName, RowFormat[Any]] = MappingProxyType(
    {row_format.name: row_format for row_format in (*CHAT_FORMATS, *PREFERENCE_FORMATS)}
)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a valid file holds, and what a person should look at again."""

    format: FormatName
    container: ContainerName
    rows: int
    duplicates: int = 0
    """Rows that are the same as one before them, to the character."""
    warnings: tuple[Problem, ...] = ()
    """The first of them."""
    total_warnings: int = 0


def check(
    stream: BinaryIO,
    *,
    name: str = "",
    max_problems: int = MAX_PROBLEMS,
    param: str | None = "training_file",
) -> DatasetSummary:
    """Read `stream` (binary and seekable) to its end and say what it holds; `name` is the file's.

    The first row that shows a format by its keys decides; every other row must be of that format.

    Raises:
        DatasetError: with the first `max_problems` problems and their total number.
    """
    known = tuple(FORMATS.values())
    container, items = containers.scan(stream, known, name=name)
    reader = containers.RowReader(known)
    problems, tally = _Capped(max_problems), _Tally(_Capped(max_problems))
    for item in items:
        row = reader.read(item)
        if isinstance(row, list):
            problems.add(row)
        else:
            tally.add(row)
    if not problems.total and (reader.format is None or not tally.rows):
        problems.add([containers.no_rows(known)])
    if problems.total or reader.format is None:
        raise DatasetError(problems.first, total=problems.total, param=param)
    return DatasetSummary(
        reader.format.name,
        container,
        rows=tally.rows,
        duplicates=tally.duplicates,
        warnings=tuple(tally.warnings.first),
        total_warnings=tally.warnings.total,
    )


@dataclass(slots=True)
class _Capped:
    """The first problems, and how many there are."""

    most: int
    first: list[Problem] = field(default_factory=list)
    total: int = 0

    def add(self, problems: list[Problem]) -> None:
        self.total += len(problems)
        self.first += problems[: self.most - len(self.first)]


@dataclass(slots=True)
class _Tally:
    """Counts the good rows; remembers 8 bytes of each row's hash, never the row."""

    warnings: _Capped
    rows: int = 0
    duplicates: int = 0
    _seen: set[int] = field(default_factory=set)

    def add(self, row: ChatRow | PreferenceRow) -> None:
        self.rows += 1
        found = list(oddities(row))
        digest = _digest(row)
        if digest in self._seen:
            self.duplicates += 1
            found.append(
                Problem(row.line, "", "repeats a row above it; remove it unless it is to weigh more")
            )
        self._seen.add(digest)
        if found:
            self.warnings.add(found)


def _digest(row: ChatRow | PreferenceRow) -> int:
    messages = row.messages
    if isinstance(row, PreferenceRow):
        messages += (row.preferred, row.rejected)
    # No text holds a NUL, so different rows never join to the same bytes.
    text = "\0".join(part for message in messages for part in (message.role, message.content)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
