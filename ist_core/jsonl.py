"""Data files in JSON Lines: each line as a row of one format, or what is wrong with it (no torch here)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypeVar

from ist_core.errors import DatasetError, Problem

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_PROBLEMS = 20

FormatName = Literal["chat", "preference"]
JsonObject = dict[str, Any]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that holds an object, and its number (from 1)."""

    number: int
    value: JsonObject

    @property
    def format(self) -> FormatName | None:
        """What the row means to be, by its keys; None if they do not say."""
        if "preferred_output" in self.value or "non_preferred_output" in self.value:
            return "preference"
        return "chat" if "messages" in self.value else None


@dataclass(frozen=True, slots=True)
class RowFormat(Generic[Row]):
    """A format of rows: its name, what a row looks like, and how one is read."""

    name: FormatName
    example: str
    read_line: Callable[[Line], Row | list[Problem]]

    def read(self, line: Line) -> Row | list[Problem]:
        """The line's row, or what is wrong with it; a row of another format is called so."""
        if line.format not in {None, self.name}:
            reason = (
                f"is a {line.format} row, but a {self.name} row is needed: a file holds rows of one format, "
                f"and a {self.name} row is {self.example}"
            )
            return [Problem(line.number, "", reason)]
        return self.read_line(line)


def scan(stream: BinaryIO, example: str) -> Iterator[Line | list[Problem]]:
    """Yield each line of `stream`, or the list of what is wrong with it; never holds the file."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            # The rest of an endless line cannot be told from the next line, so the scan ends here.
            yield [
                Problem(number, "", f"the line is longer than {MAX_LINE_BYTES} bytes; one row is one line")
            ]
            return
        yield _read_line(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, number, example)
    if number == 0:
        yield [Problem(None, "", f"the file is empty; it needs at least one line such as {example}")]


def load(path: Path, row_format: RowFormat[Row], *, param: str | None) -> list[Row]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    try:
        with path.open("rb") as stream:
            for line in scan(stream, row_format.example):
                item = row_format.read(line) if isinstance(line, Line) else line
                if isinstance(item, list):
                    problems += item
                else:
                    rows.append(item)
    except OSError as error:
        reason = f"{path.name} cannot be read ({error.strerror}); give the path of a JSON Lines file"
        raise DatasetError([Problem(None, "", reason)], param=param) from error
    if problems:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param=param)
    return rows


def json_type(value: object) -> str:
    """Return the JSON name of a value's type, with its article."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        str: "a text",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    if value == []:
        return "an empty list"
    return names[type(value)]


def found(holder: JsonObject, key: str) -> str:
    """Say what an object has at `key` in place of what it should have: `is missing`, `is a number`."""
    return f"is {json_type(holder[key])}" if key in holder else "is missing"


def _read_line(raw: bytes, number: int, example: str) -> Line | list[Problem]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8; save the file with UTF-8 encoding"
        return [Problem(number, "", reason)]
    if not text.strip():
        return [Problem(number, "", "the line is blank; remove it")]
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return [
            Problem(number, "", f"not valid JSON: {error.msg} at column {error.colno}; one row is one line")
        ]
    except (RecursionError, ValueError) as error:
        return [Problem(number, "", f"JSON that cannot be read ({error}); a row is {example}")]
    if not isinstance(value, dict):
        return [Problem(number, "", f"a row must be an object such as {example}, not {json_type(value)}")]
    return Line(number, value)
