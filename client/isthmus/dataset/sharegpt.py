"""ShareGPT rows, `{"conversations": [{"from", "value"}]}`, read as chat rows (no torch here)."""

from __future__ import annotations

from isthmus.dataset.chat import ChatMessage, ChatRow, answered, tool_problems
from isthmus.dataset.problems import Problem
from isthmus.dataset.rows import JsonObject, Line, RowFormat, found, json_type, text_fault

SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
TOOL_SPEAKERS = frozenset({"tool", "function", "function_call", "tool_call", "observation"})


def _read_line(line: Line) -> ChatRow | list[Problem]:
    problems = tool_problems(line.value, line.number)
    turns, faults = _read_system(line.value, line.number)
    problems += faults
    talk = line.value.get("conversations")
    if not isinstance(talk, list) or not talk:
        reason = f"{found(line.value, 'conversations')}; it must be a list with at least one turn"
        return [*problems, Problem(line.number, "conversations", reason)]
    for index, turn in enumerate(talk):
        faults = [
            Problem(line.number, f"conversations[{index}]{place}", why) for place, why in _turn_faults(turn)
        ]
        problems += faults
        if not faults:
            turns.append(ChatMessage(SPEAKERS[turn["from"]], turn["value"]))
    return problems or answered(line.number, "conversations", tuple(turns), "`from` gpt")


SHAREGPT = RowFormat(
    "sharegpt",
    '{"conversations": [{"from": "human", "value": ".."}, {"from": "gpt", "value": ".."}]}',
    _read_line,
    needs=("conversations",),
    takes=("system", "tools", "functions", "parallel_tool_calls"),
)


def _read_system(row: JsonObject, line: int) -> tuple[list[ChatMessage], list[Problem]]:
    """The system prompt that may stand beside the conversation; empty is none."""
    if row.get("system") in (None, ""):
        return [], []
    if fault := text_fault(row, "system", instead="remove the key"):
        return [], [Problem(line, "system", fault)]
    return [ChatMessage("system", row["system"])], []


def _turn_faults(turn: object) -> list[tuple[str, str]]:
    """Return what is wrong with one turn as (path inside it, reason)."""
    if not isinstance(turn, dict):
        return [("", f"a turn must be an object with from and value, not {json_type(turn)}")]
    faults = [
        (f".{key}", "unknown key; a turn has only `from` and `value`: remove it")
        for key in turn
        if key not in {"from", "value"}
    ]
    speaker = turn.get("from")
    if isinstance(speaker, str) and speaker in TOOL_SPEAKERS:
        faults.append((".from", f"is {speaker!r}: tool calls cannot be trained yet; remove the turn"))
    elif not isinstance(speaker, str) or speaker not in SPEAKERS:
        what = f"is {speaker[:40]!r}" if isinstance(speaker, str) else found(turn, "from")
        faults.append((".from", f"{what}; it must be one of {', '.join(SPEAKERS)}"))
    if fault := text_fault(turn, "value", instead="remove the turn"):
        faults.append((".value", fault))
    return faults
