"""Chat rows, `{"messages": [..]}`: conversations whose assistant turns are learnt (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import JsonObject, Line, RowFormat, found, json_type, text_fault

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


def tool_problems(row: JsonObject, line: int) -> list[Problem]:
    """Tools that a row of a conversation comes with."""
    return [Problem(line, key, NO_TOOLS) for key in TOOL_KEYS if key in row]


def answered(line: int, path: str, turns: tuple[ChatMessage, ...], answerer: str) -> ChatRow | list[Problem]:
    """The row of a conversation that has something to learn; `answerer` is who speaks for the assistant."""
    if all(turn.role != "assistant" for turn in turns):
        reason = f"no message has {answerer}, so there is nothing to learn; add the expected answer"
        return [Problem(line, path, reason)]
    return ChatRow(line, turns)


def _read_line(line: Line) -> ChatRow | list[Problem]:
    problems = tool_problems(line.value, line.number)
    turns, faults = read_messages(line.value, "messages", line.number)
    problems += faults
    return problems or answered(line.number, "messages", turns, "the role assistant")


CHAT = RowFormat(
    "chat",
    '{"messages": [{"role": "user", "content": ".."}, {"role": "assistant", "content": ".."}]}',
    _read_line,
    needs=("messages",),
    takes=TOOL_KEYS,
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
    role = message.get("role")
    if role not in ROLES:
        what = f"is {role[:40]!r}" if isinstance(role, str) else found(message, "role")
        faults.append((".role", f"{what}; it must be one of {', '.join(ROLES)}"))
    if fault := text_fault(message, "content"):
        faults.append((".content", fault))
    return faults
