"""Chat training data: JSON Lines of `{"messages": [..]}`, checked line by line (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ist_core import jsonl
from ist_core.errors import Problem
from ist_core.jsonl import JsonObject, Line, RowFormat, found, json_type

ROLES = ("system", "user", "assistant")
TOOL_KEYS = ("tools", "functions", "parallel_tool_calls")
"""Keys of a row that would change what is learnt; any other key beside `messages` is the user's own note."""
NO_TOOLS = "tool calls cannot be trained yet: remove it, and the tools from the messages"


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


def load(path: Path, *, param: str | None = "training_file") -> list[ChatRow]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    return jsonl.load(path, CHAT, param=param)


def read_messages(
    holder: JsonObject, path: str, line: int, *, needed: str = "at least one message"
) -> tuple[tuple[ChatMessage, ...], list[Problem]]:
    """The usable messages of the list that `holder` has at the end of `path`, and what is wrong with it."""
    key = path.rpartition(".")[2]
    messages = holder.get(key)
    if not isinstance(messages, list) or not messages:
        return (), [Problem(line, path, f"{found(holder, key)}; it must be a list with {needed}")]
    problems: list[Problem] = []
    turns = []
    for index, message in enumerate(messages):
        faults = _message_faults(message)
        problems += [Problem(line, f"{path}[{index}]{place}", reason) for place, reason in faults]
        if not faults:
            turns.append(ChatMessage(message["role"], message["content"]))
    return tuple(turns), problems


def _read_line(line: Line) -> ChatRow | list[Problem]:
    problems = [Problem(line.number, key, NO_TOOLS) for key in TOOL_KEYS if key in line.value]
    turns, faults = read_messages(line.value, "messages", line.number)
    problems += faults
    if not problems and all(turn.role != "assistant" for turn in turns):
        reason = "no message has the role assistant, so there is nothing to learn; add the expected answer"
        problems.append(Problem(line.number, "messages", reason))
    return problems or ChatRow(line.number, turns)


CHAT = RowFormat(
    "chat",
    '{"messages": [{"role": "user", "content": ".."}, {"role": "assistant", "content": ".."}]}',
    _read_line,
)


def _message_faults(message: object) -> list[tuple[str, str]]:
    """Return what is wrong with one message as (path inside it, reason)."""
    if not isinstance(message, dict):
        return [("", f"a message must be an object with role and content, not {json_type(message)}")]
    faults = [
        (f".{key}", "unknown key; a message has only `role` and `content`: remove it")
        for key in message
        if key not in {"role", "content"}
    ]
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        what = f"is {role[:40]!r}" if isinstance(role, str) else found(message, "role")
        faults.append((".role", f"{what}; it must be one of {', '.join(ROLES)}"))
    if not isinstance(content, str):
        faults.append((".content", f"{found(message, 'content')}; it must be a text"))
    elif not content.strip():
        faults.append((".content", "is empty; write the text or remove the message"))
    elif not _is_text(content):
        faults.append((".content", "holds half of a surrogate pair, which is no character; remove it"))
    return faults


def _is_text(content: str) -> bool:
    """Whether `content` can be written as UTF-8: JSON may escape lone surrogates, which tokenizers refuse."""
    return not any("\ud800" <= character <= "\udfff" for character in content)
