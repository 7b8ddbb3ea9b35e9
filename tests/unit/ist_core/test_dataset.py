"""Chat files: what is accepted, and what is said about what is not."""

import io
import json
from pathlib import Path

import pytest

from ist_core import dataset
from ist_core.errors import DatasetError

GOOD = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}\n'


def _line(*messages: object, **more: object) -> bytes:
    return json.dumps({"messages": list(messages), **more}).encode() + b"\n"


def test_a_good_file_is_counted() -> None:
    summary = dataset.check(io.BytesIO(b"\xef\xbb\xbf" + GOOD + GOOD.strip()))
    assert (summary.rows, summary.messages, summary.characters) == (2, 4, 8)


USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}


@pytest.mark.parametrize(
    ("bad", "path", "reason"),
    [
        (b"{oops\n", "", "not valid JSON"),
        (b"\n", "", "blank"),
        (b'{"messages": "\xff"}\n', "", "not UTF-8"),
        (b"[1]\n", "", "must be an object"),
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
        (b"[" * 100_000 + b"\n", "", "JSON that cannot be read"),
    ],
)
def test_a_bad_line_is_named_with_its_path(bad: bytes, path: str, reason: str) -> None:
    with pytest.raises(DatasetError) as caught:
        dataset.check(io.BytesIO(GOOD + bad + GOOD))
    problem = caught.value.problems[0]
    assert (problem.line, problem.path) == (2, path)
    assert reason in problem.reason
    assert caught.value.code == "invalid_dataset"


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(DatasetError, match="empty"):
        dataset.check(io.BytesIO(b""))


def test_an_endless_line_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MAX_LINE_BYTES", 100)
    stream = io.BytesIO(GOOD + b"x" * 1000)
    with pytest.raises(DatasetError, match="line 2: the line is longer"):
        dataset.check(stream)
    assert stream.tell() <= len(GOOD) + 101


def test_problems_are_capped_and_counted() -> None:
    with pytest.raises(DatasetError, match=r"line 1.*\(and 49 more\)") as caught:
        dataset.check(io.BytesIO(b"x\n" * 50), max_problems=5)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4, 5]
    assert caught.value.total == 50


def test_load_returns_rows_with_lines_and_names_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(GOOD + GOOD)
    rows = dataset.load(path)
    assert [row.line for row in rows] == [1, 2]
    assert rows[0].messages[1].content == "yo"
    with pytest.raises(DatasetError, match=r"none\.jsonl cannot be read") as caught:
        dataset.load(tmp_path / "none.jsonl", param="validation_file")
    assert caught.value.param == "validation_file"


def test_a_row_may_carry_notes_of_its_own() -> None:
    row = _line(USER, ANSWER, answer="true", source={"set": "boolq"})
    assert dataset.check(io.BytesIO(row)).rows == 1
