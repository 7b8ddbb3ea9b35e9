"""Preference data: rows of a conversation and two answers, in OpenAI's shape or TRL's (no torch here)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus.dataset import containers
from isthmus.dataset.chat import NO_TOOLS, TOOL_KEYS, ChatMessage, read_messages
from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import JsonObject, Line, RowFormat, found, text_fault

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
    return containers.load(path, PREFERENCE_FORMATS, param=param)


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
    return _pair(line.number, messages, preferred, rejected, "non_preferred_output", "preferred_output")


def _pair(
    line: int,
    messages: tuple[ChatMessage, ...],
    preferred: ChatMessage,
    rejected: ChatMessage,
    worse: str,
    better: str,
) -> PreferenceRow | list[Problem]:
    if preferred == rejected:
        reason = f"is the same as {better}, so there is nothing to learn; give a worse answer"
        return [Problem(line, worse, reason)]
    return PreferenceRow(line, messages, preferred, rejected)


PREFERENCE = RowFormat(
    "preference",
    '{"input": {"messages": [{"role": "user", "content": ".."}]}, '
    '"preferred_output": [{"role": "assistant", "content": ".."}], '
    '"non_preferred_output": [{"role": "assistant", "content": ".."}]}',
    _read_line,
    needs=("input", "preferred_output", "non_preferred_output"),
    takes=("tools", "functions"),
)


def _read_chosen(line: Line) -> PreferenceRow | list[Problem]:
    problems = _tool_problems(line.value, line.number)
    messages, faults = _read_prompt(line.value, line.number)
    problems += faults
    chosen, faults = _read_answer(line.value, "chosen", line.number)
    problems += faults
    rejected, faults = _read_answer(line.value, "rejected", line.number)
    problems += faults
    if problems or chosen is None or rejected is None:
        return problems
    return _pair(line.number, messages, chosen, rejected, "rejected", "chosen")


CHOSEN_REJECTED = RowFormat(
    "chosen_rejected",
    '{"prompt": "..", "chosen": "..", "rejected": ".."}',
    _read_chosen,
    needs=("prompt", "chosen", "rejected"),
    takes=("tools", "functions"),
    is_flat=True,
)
PREFERENCE_FORMATS = (PREFERENCE, CHOSEN_REJECTED)


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
    messages, faults = _read_question(given, "input.messages", line)
    return messages, problems + faults


def _read_question(holder: JsonObject, path: str, line: int) -> tuple[tuple[ChatMessage, ...], list[Problem]]:
    """A conversation that ends before the answer."""
    messages, faults = read_messages(holder, path, line)
    if not faults and messages[-1].role == "assistant":
        reason = "is assistant, but the input ends before the answer; move the message into the outputs"
        faults.append(Problem(line, f"{path}[{len(messages) - 1}].role", reason))
    return messages, faults


def _read_prompt(row: JsonObject, line: int) -> tuple[tuple[ChatMessage, ...], list[Problem]]:
    """A prompt, which is a text or a list of messages."""
    if isinstance(row.get("prompt"), list):
        return _read_question(row, "prompt", line)
    if fault := text_fault(row, "prompt", instead="remove the row"):
        return (), [Problem(line, "prompt", fault)]
    return (ChatMessage("user", row["prompt"]),), []


def _read_answer(row: JsonObject, key: str, line: int) -> tuple[ChatMessage | None, list[Problem]]:
    """An answer, which is a text or a list with one message."""
    if isinstance(row.get(key), list):
        return _read_output(row, key, line)
    if fault := text_fault(row, key, instead="remove the row"):
        return None, [Problem(line, key, fault)]
    return ChatMessage("assistant", row[key]), []


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
