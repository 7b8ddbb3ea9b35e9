"""Rows of data files: formats, how keys tell them apart, words for what is wrong with a row (no torch)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from isthmus.dataset.problems import Problem

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_PROBLEMS = 20

FormatName = Literal["chat", "prompt_completion", "alpaca", "sharegpt", "preference", "chosen_rejected"]
ContainerName = Literal["jsonl", "csv", "parquet"]
JsonObject = dict[str, Any]
Row = TypeVar("Row")

SIGNS: Sequence[tuple[tuple[str, ...], FormatName]] = (
    (("preferred_output",), "preference"),
    (("non_preferred_output",), "preference"),
    (("messages",), "chat"),
    (("conversations",), "sharegpt"),
    (("chosen",), "chosen_rejected"),
    (("rejected",), "chosen_rejected"),
    (("prompt", "completion"), "prompt_completion"),
    (("instruction",), "alpaca"),
    (("prompt",), "prompt_completion"),
    (("completion",), "prompt_completion"),
)
"""Which keys show a format; the first that a row has all of decides, for a row may carry other notes."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it stands in its file, and its number (from 1): the line it begins on, in Parquet the row."""

    number: int
    value: JsonObject

    @property
    def format(self) -> FormatName | None:
        """What the row means to be, by its keys; None if they do not say."""
        return format_of(self.value)


Scanned = Line | list[Problem]
"""A row that can be read, or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class RowFormat(Generic[Row]):
    """A format of rows: its name, what a row looks like, and how one is read."""

    name: FormatName
    example: str
    read_line: Callable[[Line], Row | list[Problem]]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()
    """Keys beside the needed ones that are looked at; all others are the user's own notes."""
    is_flat: bool = False
    """Whether a row can be texts only, which is what a CSV table holds."""

    def read(self, line: Line) -> Row | list[Problem]:
        """The line's row, or what is wrong with it; a row of another format is called so."""
        if line.format not in {None, self.name}:
            reason = (
                f"is a {line.format} row, but a {self.name} row is needed: a file holds rows of one format, "
                f"and a {self.name} row is {self.example}"
            )
            return [Problem(line.number, "", reason)]
        return self.read_line(line)


def format_of(keys: Collection[str]) -> FormatName | None:
    """The format that a row's keys, or a table's columns, show."""
    return next((name for signs, name in SIGNS if all(sign in keys for sign in signs)), None)


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
    return names.get(type(value), f"a value of type {type(value).__name__}")  # Parquet has more types


def found(holder: JsonObject, key: str) -> str:
    """Say what an object has at `key` in place of what it should have: `is missing`, `is a number`."""
    return f"is {json_type(holder[key])}" if key in holder else "is missing"


def text_fault(holder: JsonObject, key: str, *, instead: str = "remove the message") -> str | None:
    """What is wrong with the text that an object should have at `key`; None: nothing."""
    text = holder.get(key)
    if not isinstance(text, str):
        return f"{found(holder, key)}; it must be a text"
    if not text.strip():
        return f"is empty; write the text or {instead}"
    if "\0" in text:
        return "holds a NUL character, which is no text; remove it"
    if any("\ud800" <= character <= "\udfff" for character in text):
        # JSON may escape lone surrogates, which cannot be written as UTF-8 and which tokenizers refuse.
        return "holds half of a surrogate pair, which is no character; remove it"
    return None
