"""Data files line by line: what cannot be read at all, whatever its format."""

import io
from pathlib import Path

import pytest
from isthmus.dataset import chat_rows, jsonl
from isthmus.dataset.rows import Line

from ist_core.errors import DatasetError

GOOD = b'{"a": 1}\n'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{oops\n", "not valid JSON"),
        (b"\n", "blank"),
        (b'{"messages": "\xff"}\n', "not UTF-8"),
        (b"[1]\n", "must be an object such as {..}, not a list"),
        (b"[" * 100_000 + b"\n", "JSON that cannot be read"),
    ],
)
def test_a_bad_line_is_named(bad: bytes, reason: str) -> None:
    before, problems, after = jsonl.scan(io.BytesIO(b"\xef\xbb\xbf" + GOOD + bad + GOOD), "{..}")
    assert (before, after) == (Line(1, {"a": 1}), Line(3, {"a": 1}))
    assert isinstance(problems, list)
    assert [(problem.line, problem.path) for problem in problems] == [(2, "")]
    assert reason in problems[0].reason


def test_an_endless_line_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    stream = io.BytesIO(GOOD + b"x" * 1000)
    problems = list(jsonl.scan(stream, "{..}"))[1]
    assert isinstance(problems, list)
    assert str(problems[0]).startswith("line 2: the line is longer")
    assert stream.tell() <= len(GOOD) + 101


@pytest.mark.parametrize(("data", "says"), [(None, "cannot be read"), (b"", "the file is empty")])
def test_a_file_without_lines_is_refused(tmp_path: Path, data: bytes | None, says: str) -> None:
    path = tmp_path / "none.jsonl"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DatasetError, match=says) as caught:
        chat_rows.load(path, param="validation_file")
    assert caught.value.param == "validation_file"


def test_problems_are_capped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"x\n" * 50)
    with pytest.raises(DatasetError, match=r"line 1.*\(and 49 more\)") as caught:
        chat_rows.load(path)
    assert [problem.line for problem in caught.value.problems] == list(range(1, jsonl.MAX_PROBLEMS + 1))
    assert caught.value.total == 50
