"""Chat files: what is accepted, and what is said about what is not."""

import json
from pathlib import Path

import pytest
from isthmus.dataset import chat_rows
from isthmus.dataset.chat_rows import ChatRow

from ist_core.errors import DatasetError

GOOD = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}\n'
USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}


def _line(*messages: object, **more: object) -> bytes:
    return json.dumps({"messages": list(messages), **more}).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


@pytest.mark.parametrize(
    ("bad", "place", "reason"),
    [
        (b"{}\n", "messages", "is missing"),
        (b'{"messages": []}\n', "messages", "an empty list"),
        (_line(USER, ANSWER, tools=[]), "tools", "tool calls"),
        (_line(USER, "yo"), "messages[1]", "must be an object"),
        (
            _line(USER, ANSWER, {"role": "robot", "content": "x"}),
            "messages[2].role",
            "'robot'; it must be one of",
        ),
        (_line(USER, {"role": ["x"], "content": "x"}), "messages[1].role", "a list"),
        (_line(USER, {"role": "assistant", "content": " "}), "messages[1].content", "is empty"),
        (_line(USER, {"role": "assistant", "content": None}), "messages[1].content", "is null"),
        (_line(USER, {"role": "assistant"}), "messages[1].content", "is missing"),
        (_line(USER, {**ANSWER, "weight": 0}), "messages[1].weight", "unknown key"),
        (_line(USER, {"role": "assistant", "content": "\ud800"}), "messages[1].content", "surrogate"),
        (_line(USER), "messages", "no message has the role assistant"),
    ],
)
def test_a_bad_row_is_named_with_its_path(path: Path, bad: bytes, place: str, reason: str) -> None:
    path.write_bytes(GOOD + bad + GOOD)
    with pytest.raises(DatasetError) as caught:
        chat_rows.load(path)
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (2, place)
    assert reason in problem.reason
    assert caught.value.code == "invalid_dataset"


def test_load_returns_rows_with_lines(path: Path) -> None:
    path.write_bytes(GOOD + GOOD)
    rows = chat_rows.load(path)
    assert [row.line for row in rows] == [1, 2]
    assert rows[0].messages[1].content == "yo"


def test_a_row_may_carry_notes_of_its_own(path: Path) -> None:
    path.write_bytes(_line(USER, ANSWER, answer="true", source={"set": "boolq"}))
    assert [type(row) for row in chat_rows.load(path)] == [ChatRow]
