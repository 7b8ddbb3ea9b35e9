"""JSON Lines: each line as a row, or what is wrong with it (no torch here)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import BinaryIO

from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import MAX_LINE_BYTES, Line, Scanned, json_type
from isthmus.dataset.rows import MAX_PROBLEMS as MAX_PROBLEMS
from isthmus.dataset.rows import FormatName as FormatName


def scan(stream: BinaryIO, example: str) -> Iterator[Scanned]:
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


def _read_line(raw: bytes, number: int, example: str) -> Scanned:
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
        reason = f"not valid JSON: {error.msg} at column {error.colno}; one row is one line"
        if number == 1 and text.lstrip().startswith("["):
            reason += ": write each row of the list as a line, without brackets around and commas between"
        return [Problem(number, "", reason)]
    except (RecursionError, ValueError) as error:
        return [Problem(number, "", f"JSON that cannot be read ({error}); a row is {example}")]
    if not isinstance(value, dict):
        return [Problem(number, "", f"a row must be an object such as {example}, not {json_type(value)}")]
    return Line(number, value)
