"""Chat training data: JSON Lines of `{"messages": [..]}`, checked line by line (no torch here)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ist_core.errors import DatasetError, Problem

ROLES = ("system", "user", "assistant")
TOOL_KEYS = ("tools", "functions", "parallel_tool_calls")
"""Keys of a row that would change what is learnt; any other key beside `messages` is the user's own note."""
MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_PROBLEMS = 20

_EXAMPLE = '{"messages": [{"role": "user", "content": ".."}, {"role": "assistant", "content": ".."}]}'


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One conversation and the line (from 1) it stands on."""

    line: int
    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a valid file holds."""

    rows: int
    messages: int
    characters: int


def scan(stream: BinaryIO) -> Iterator[ChatRow | list[Problem]]:
    """Yield each line of `stream` as a row, or as the list of what is wrong with it; never holds the file."""
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            # The rest of an endless line cannot be told from the next line, so the scan ends here.
            yield [
                Problem(number, "", f"the line is longer than {MAX_LINE_BYTES} bytes; one row is one line")
            ]
            return
        yield _read_line(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, number)
    if number == 0:
        yield [Problem(None, "", f"the file is empty; it needs at least one line such as {_EXAMPLE}")]


def check(
    stream: BinaryIO, *, max_problems: int = MAX_PROBLEMS, param: str | None = "training_file"
) -> DatasetSummary:
    """Read `stream` (opened in binary mode) to its end and count what it holds.

    Raises:
        DatasetError: with the first `max_problems` problems and their total number.
    """
    rows = messages = characters = total = 0
    problems: list[Problem] = []
    for item in scan(stream):
        if isinstance(item, ChatRow):
            rows += 1
            messages += len(item.messages)
            characters += sum(len(message.content) for message in item.messages)
        else:
            total += len(item)
            problems += item[: max_problems - len(problems)]
    if total:
        raise DatasetError(problems, total=total, param=param)
    return DatasetSummary(rows, messages, characters)


def load(path: Path, *, param: str | None = "training_file") -> list[ChatRow]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    rows: list[ChatRow] = []
    problems: list[Problem] = []
    try:
        with path.open("rb") as stream:
            for item in scan(stream):
                if isinstance(item, ChatRow):
                    rows.append(item)
                else:
                    problems += item
    except OSError as error:
        reason = f"{path.name} cannot be read ({error.strerror}); give the path of a JSON Lines file"
        raise DatasetError([Problem(None, "", reason)], param=param) from error
    if problems:
        raise DatasetError(problems[:MAX_PROBLEMS], total=len(problems), param=param)
    return rows


def _read_line(raw: bytes, line: int) -> ChatRow | list[Problem]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is not UTF-8; save the file with UTF-8 encoding"
        return [Problem(line, "", reason)]
    if not text.strip():
        return [Problem(line, "", "the line is blank; remove it")]
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return [
            Problem(line, "", f"not valid JSON: {error.msg} at column {error.colno}; one row is one line")
        ]
    except (RecursionError, ValueError) as error:
        return [Problem(line, "", f"JSON that cannot be read ({error}); a row is {_EXAMPLE}")]
    return _read_row(value, line)


def _read_row(value: object, line: int) -> ChatRow | list[Problem]:
    if not isinstance(value, dict):
        return [Problem(line, "", f"a row must be an object such as {_EXAMPLE}, not {_name(value)}")]
    problems = [
        Problem(line, key, "tool calls cannot be trained yet: remove it, and the tools from the messages")
        for key in TOOL_KEYS
        if key in value
    ]
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        found = "is missing" if "messages" not in value else f"is {_name(messages)}"
        problems.append(Problem(line, "messages", f"{found}; it must be a list with at least one message"))
        return problems
    turns = []
    for index, message in enumerate(messages):
        faults = _message_faults(message)
        problems += [Problem(line, f"messages[{index}]{path}", reason) for path, reason in faults]
        if not faults:
            turns.append(ChatMessage(message["role"], message["content"]))
    if not problems and all(turn.role != "assistant" for turn in turns):
        reason = "no message has the role assistant, so there is nothing to learn; add the expected answer"
        problems.append(Problem(line, "messages", reason))
    return problems or ChatRow(line, tuple(turns))


def _message_faults(message: object) -> list[tuple[str, str]]:
    """Return what is wrong with one message as (path inside it, reason)."""
    if not isinstance(message, dict):
        return [("", f"a message must be an object with role and content, not {_name(message)}")]
    faults = [
        (f".{key}", "unknown key; a message has only `role` and `content`: remove it")
        for key in message
        if key not in {"role", "content"}
    ]
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        found = "is missing" if "role" not in message else f"is {_shown(role)}"
        faults.append((".role", f"{found}; it must be one of {', '.join(ROLES)}"))
    if not isinstance(content, str):
        found = "is missing" if "content" not in message else f"is {_name(content)}"
        faults.append((".content", f"{found}; it must be a text"))
    elif not content.strip():
        faults.append((".content", "is empty; write the text or remove the message"))
    elif not _is_text(content):
        faults.append((".content", "holds half of a surrogate pair, which is no character; remove it"))
    return faults


def _is_text(content: str) -> bool:
    """Whether `content` can be written as UTF-8: JSON may escape lone surrogates, which tokenizers refuse."""
    return not any("\ud800" <= character <= "\udfff" for character in content)


def _name(value: object) -> str:
    """Return the JSON name of a value's type."""
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


def _shown(value: object) -> str:
    return repr(value[:40]) if isinstance(value, str) else _name(value)
