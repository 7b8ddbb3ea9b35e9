"""Preference files: what is accepted, and what is said about what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from isthmus.dataset import chat_rows, preferences
from isthmus.dataset.chat_rows import ChatMessage
from isthmus.dataset.preferences import PreferenceRow

from ist_core.errors import DatasetError

USER, GOOD, BAD = (
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yo"},
    {"role": "assistant", "content": "no"},
)
ROW = {
    "input": {"messages": [USER], "tools": [], "parallel_tool_calls": True},
    "preferred_output": [GOOD],
    "non_preferred_output": [BAD],
}
CHAT = {"messages": [USER, GOOD]}


def _with(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


def _input(*messages: object, **more: object) -> dict[str, Any]:
    return _with(input={"messages": list(messages), **more})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.jsonl"


def _write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_load_returns_rows_with_lines(path: Path) -> None:
    history = [{"role": "system", "content": "be brief"}, USER, GOOD, USER]
    rows = preferences.load(_write(path, ROW, _with(input={"messages": history}, source="a note")))
    assert rows[0] == PreferenceRow(
        1, (ChatMessage("user", "hi"),), ChatMessage("assistant", "yo"), ChatMessage("assistant", "no")
    )
    assert rows[1].line == 2
    assert [message.role for message in rows[1].messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("bad", "place", "reason"),
    [
        ({"input": {"messages": [USER]}}, "preferred_output", "is missing; it must be a list with"),
        ({"preferred_output": [GOOD], "non_preferred_output": [BAD]}, "input", "is missing"),
        (_with(input=[USER]), "input", "is a list; it must be an object"),
        (_with(input={}), "input.messages", "is missing; it must be a list with at least one message"),
        (_input(), "input.messages", "is an empty list"),
        (_input({"role": "robot", "content": "x"}), "input.messages[0].role", "'robot'; it must be one of"),
        (_input({**USER, "name": "x"}), "input.messages[0].name", "unknown key"),
        (_input(USER, GOOD), "input.messages[1].role", "move the message into the outputs"),
        (_input(USER, tools=[{"type": "function"}]), "input.tools", "tool calls cannot be trained yet"),
        (_input(USER, functions=[{}]), "input.functions", "tool calls cannot be trained yet"),
        (_with(tools=[{}]), "tools", "tool calls cannot be trained yet"),
        (_input(USER, temperature=1), "input.temperature", "unknown key; the keys are messages, tools"),
        (_with(preferred_output="yo"), "preferred_output", "is a text"),
        (_with(preferred_output=[]), "preferred_output", "is an empty list"),
        (_with(preferred_output=[GOOD, BAD]), "preferred_output", "2 messages; it must be a list with"),
        (_with(non_preferred_output=[USER]), "non_preferred_output[0].role", "is 'user'; an output has"),
        (
            _with(non_preferred_output=[{"role": "assistant", "content": ""}]),
            "non_preferred_output[0].content",
            "is empty",
        ),
        (_with(non_preferred_output=[GOOD]), "non_preferred_output", "nothing to learn; give a worse answer"),
        (CHAT, "", "is a chat row, but a preference row is needed"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_path(path: Path, bad: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        preferences.load(_write(path, ROW, bad, ROW))
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (2, place)
    assert reason in problem.reason
    assert caught.value.code == "invalid_dataset"


def test_every_fault_of_a_row_is_told(path: Path) -> None:
    bad = {
        "input": {"messages": "hi", "tools": [{}]},
        "preferred_output": [USER],
        "non_preferred_output": None,
    }
    with pytest.raises(DatasetError) as caught:
        preferences.load(_write(path, bad), param="validation_file")
    places = [problem.path for problem in caught.value.problems]
    assert places == ["input.tools", "input.messages", "preferred_output[0].role", "non_preferred_output"]
    assert caught.value.param == "validation_file"


def test_a_chat_reader_calls_a_preference_row_by_its_name(path: Path) -> None:
    with pytest.raises(DatasetError, match=r"line 1: is a preference row; a row is \{\"messages\""):
        chat_rows.load(_write(path, ROW))
