"""Flat rows of a question and an answer, Alpaca's and prompt/completion, read as chat rows (no torch)."""

from __future__ import annotations

from isthmus.dataset.chat import ChatMessage, ChatRow
from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import JsonObject, Line, RowFormat, text_fault


def _read_prompt(line: Line) -> ChatRow | list[Problem]:
    problems = _text_problems(line, "prompt", "completion")
    problems += _system_problems(line)
    return problems or _chat(line, line.value["prompt"], line.value["completion"])


PROMPT_COMPLETION = RowFormat(
    "prompt_completion",
    '{"prompt": "..", "completion": ".."}',
    _read_prompt,
    needs=("prompt", "completion"),
    takes=("system",),
    is_flat=True,
)


def _read_alpaca(line: Line) -> ChatRow | list[Problem]:
    row = line.value
    problems = _text_problems(line, "instruction", "output")
    if not _is_absent(row, "input"):
        problems += _text_problems(line, "input")
    if not _is_absent(row, "history") and row["history"] != []:
        reason = "earlier turns are not read in this format: remove it, or write the row as messages"
        problems.append(Problem(line.number, "history", reason))
    problems += _system_problems(line)
    if problems:
        return problems
    # As Alpaca's own prompt has it: the input is a paragraph below the instruction.
    context = "" if _is_absent(row, "input") else f"\n\n{row['input']}"
    return _chat(line, row["instruction"] + context, row["output"])


ALPACA = RowFormat(
    "alpaca",
    '{"instruction": "..", "input": "..", "output": ".."}',
    _read_alpaca,
    needs=("instruction", "output"),
    takes=("input", "system", "history"),
    is_flat=True,
)


def _chat(line: Line, question: str, answer: str) -> ChatRow:
    system = [] if _is_absent(line.value, "system") else [ChatMessage("system", line.value["system"])]
    return ChatRow(line.number, (*system, ChatMessage("user", question), ChatMessage("assistant", answer)))


def _text_problems(line: Line, *keys: str) -> list[Problem]:
    faults = [(key, text_fault(line.value, key, instead="remove the row")) for key in keys]
    return [Problem(line.number, key, fault) for key, fault in faults if fault]


def _system_problems(line: Line) -> list[Problem]:
    """What is wrong with a system prompt, which a row may have."""
    return [] if _is_absent(line.value, "system") else _text_problems(line, "system")


def _is_absent(row: JsonObject, key: str) -> bool:
    """Whether a row has no such text: an empty cell of a table is none."""
    value = row.get(key)
    return value is None or (isinstance(value, str) and not value.strip())
