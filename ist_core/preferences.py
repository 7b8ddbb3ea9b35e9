"""Preference data: JSON Lines of a conversation and two answers, checked line by line (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ist_core import jsonl
from ist_core.dataset import NO_TOOLS, TOOL_KEYS, ChatMessage, read_messages
from ist_core.errors import Problem
from ist_core.jsonl import JsonObject, Line, RowFormat, found

INPUT_KEYS = ("messages", *TOOL_KEYS)
ONE_ANSWER = "exactly one assistant message"


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """A conversation before its answer, the better and the worse answer, and their line (from 1)."""

    line: int
    messages: tuple[ChatMessage, ...]
    preferred: ChatMessage
    rejected: ChatMessage


def load(path: Path, *, param: str | None = "training_file") -> list[PreferenceRow]:
    """Return every row of the file at `path`.

    Raises:
        DatasetError: if the file cannot be opened or any line of it cannot be used.
    """
    return jsonl.load(path, PREFERENCE, param=param)


def _read_line(line: Line) -> PreferenceRow | list[Problem]:
    problems = _tool_problems(line.value, line.number)
    messages, faults = _read_input(line.value, line.number)
    problems += faults
    preferred, faults = _read_output(line.value, "preferred_output", line.number)
    problems += faults
    rejected, faults = _read_output(line.value, "non_preferred_output", line.number)
    problems += faults
    if problems or preferred is None or rejected is None:
        return problems
    if preferred == rejected:
        reason = "is the same as preferred_output, so there is nothing to learn; give a worse answer"
        return [Problem(line.number, "non_preferred_output", reason)]
    return PreferenceRow(line.number, messages, preferred, rejected)


PREFERENCE = RowFormat(
    "preference",
    '{"input": {"messages": [{"role": "user", "content": ".."}]}, '
    '"preferred_output": [{"role": "assistant", "content": ".."}], '
    '"non_preferred_output": [{"role": "assistant", "content": ".."}]}',
    _read_line,
)


def _tool_problems(holder: JsonObject, line: int, place: str = "") -> list[Problem]:
    """Tools that are given; an empty list, which OpenAI's own example has, is none."""
    keys = ("tools", "functions")
    return [Problem(line, place + key, NO_TOOLS) for key in keys if holder.get(key)]


def _read_input(row: JsonObject, line: int) -> tuple[tuple[ChatMessage, ...], list[Problem]]:
    given = row.get("input")
    if not isinstance(given, dict):
        return (), [Problem(line, "input", f"{found(row, 'input')}; it must be an object with `messages`")]
    problems = _tool_problems(given, line, "input.")
    problems += [
        Problem(line, f"input.{key}", f"unknown key; the keys are {', '.join(INPUT_KEYS)}: remove it")
        for key in given
        if key not in INPUT_KEYS
    ]
    messages, faults = read_messages(given, "input.messages", line)
    if not faults and messages[-1].role == "assistant":
        reason = "is assistant, but the input ends before the answer; move the message into the outputs"
        faults.append(Problem(line, f"input.messages[{len(messages) - 1}].role", reason))
    return messages, problems + faults


def _read_output(row: JsonObject, key: str, line: int) -> tuple[ChatMessage | None, list[Problem]]:
    messages, problems = read_messages(row, key, line, needed=ONE_ANSWER)
    if problems:
        return None, problems
    if len(messages) > 1:
        reason = f"is a list of {len(messages)} messages; it must be a list with {ONE_ANSWER}"
        return None, [Problem(line, key, reason)]
    if messages[0].role != "assistant":
        reason = f"is {messages[0].role!r}; an output has the role assistant"
        return None, [Problem(line, f"{key}[0].role", reason)]
    return messages[0], []
