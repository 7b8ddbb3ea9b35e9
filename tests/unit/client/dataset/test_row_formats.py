"""Every format but OpenAI's: what its rows are read as, and what is said about those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from isthmus.dataset import chat_rows, preferences
from isthmus.dataset.chat import ChatMessage
from isthmus.dataset.preferences import PreferenceRow

from ist_core.errors import DatasetError

SYSTEM, USER, ANSWER = (
    ChatMessage("system", "be brief"),
    ChatMessage("user", "hi"),
    ChatMessage("assistant", "yo"),
)
TALK = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]
PAIR = {"prompt": "hi", "chosen": "yo", "rejected": "no"}


def _write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"prompt": "hi", "completion": "yo", "note": 3}, (USER, ANSWER)),
        ({"prompt": "hi", "completion": "yo", "system": "be brief"}, (SYSTEM, USER, ANSWER)),
        ({"instruction": "hi", "output": "yo"}, (USER, ANSWER)),
        ({"instruction": "hi", "input": None, "output": "yo", "system": " ", "history": []}, (USER, ANSWER)),
        ({"instruction": "sum", "input": "1 2", "output": "yo"}, (ChatMessage("user", "sum\n\n1 2"), ANSWER)),
        ({"conversations": TALK}, (USER, ANSWER)),
        ({"conversations": TALK, "system": "be brief", "id": "x"}, (SYSTEM, USER, ANSWER)),
    ],
)
def test_a_row_is_read_as_a_conversation(
    tmp_path: Path, row: dict[str, Any], messages: tuple[ChatMessage, ...]
) -> None:
    rows = chat_rows.load(_write(tmp_path / "a.jsonl", row, row))
    assert [(row.line, row.messages) for row in rows] == [(1, messages), (2, messages)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"prompt": [{"role": "user", "content": "hi"}], "chosen": [{"role": "assistant", "content": "yo"}]}],
)
def test_a_pair_is_read_as_a_preference(tmp_path: Path, changes: dict[str, Any]) -> None:
    rows = preferences.load(_write(tmp_path / "a.jsonl", PAIR | changes))
    assert rows == [PreferenceRow(1, (USER,), ANSWER, ChatMessage("assistant", "no"))]


@pytest.mark.parametrize(
    ("good", "bad", "place", "reason"),
    [
        ({"prompt": "a", "completion": "b"}, {"prompt": "a"}, "completion", "is missing; it must be a text"),
        ({"prompt": "a", "completion": "b"}, {"prompt": "", "completion": "b"}, "prompt", "is empty"),
        ({"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "\0"}, "completion", "NUL"),
        ({"instruction": "a", "output": "b"}, {"instruction": "a", "output": " "}, "output", "is empty"),
        ({"instruction": "a", "output": "b"}, {"instruction": 1, "output": "b"}, "instruction", "a number"),
        (
            {"instruction": "a", "output": "b"},
            {"instruction": "a", "output": "b", "history": [["c", "d"]]},
            "history",
            "earlier turns are not read",
        ),
        ({"instruction": "a", "output": "b"}, {"prompt": "a"}, "", "is a prompt_completion row, but"),
        ({"conversations": TALK}, {"conversations": []}, "conversations", "is an empty list"),
        (
            {"conversations": TALK},
            {"conversations": [{"from": "bot", "value": "x"}]},
            "conversations[0].from",
            "is 'bot'; it must be one of system, human",
        ),
        (
            {"conversations": TALK},
            {"conversations": [*TALK, {"from": "observation", "value": "x"}]},
            "conversations[2].from",
            "tool calls cannot be trained yet",
        ),
        (
            {"conversations": TALK},
            {"conversations": [TALK[0], {"from": "gpt", "value": ""}]},
            "conversations[1].value",
            "is empty",
        ),
        (
            {"conversations": TALK},
            {"conversations": TALK[:1]},
            "conversations",
            "no message has `from` gpt, so there is nothing to learn",
        ),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_path(
    tmp_path: Path, good: dict[str, Any], bad: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        chat_rows.load(_write(tmp_path / "a.jsonl", good, bad))
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (2, place)
    assert reason in problem.reason


@pytest.mark.parametrize(
    ("bad", "place", "reason"),
    [
        ({**PAIR, "rejected": "yo"}, "rejected", "is the same as chosen, so there is nothing to learn"),
        ({**PAIR, "chosen": ""}, "chosen", "is empty"),
        ({**PAIR, "prompt": 3}, "prompt", "is a number"),
        ({**PAIR, "prompt": [{"role": "assistant", "content": "x"}]}, "prompt[0].role", "move the message"),
        ({**PAIR, "chosen": [{"role": "user", "content": "x"}]}, "chosen[0].role", "an output has the role"),
        ({"prompt": "hi", "completion": "yo"}, "", "is a prompt_completion row, but a chosen_rejected row"),
    ],
)  # fmt: skip
def test_a_bad_pair_is_named_with_its_path(
    tmp_path: Path, bad: dict[str, Any], place: str, reason: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        preferences.load(_write(tmp_path / "a.jsonl", PAIR, bad))
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (2, place)
    assert reason in problem.reason
