"""A file's format: shown by its first row, kept by all others."""

from __future__ import annotations

import io
import json

import pytest

from ist_core import formats
from ist_core.errors import DatasetError

USER, GOOD = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}
CHAT = {"messages": [USER, GOOD], "source": "a note"}
PREFERENCE = {
    "input": {"messages": [USER]},
    "preferred_output": [GOOD],
    "non_preferred_output": [{"role": "assistant", "content": "no"}],
}


def _stream(*rows: object) -> io.BytesIO:
    return io.BytesIO(b"\xef\xbb\xbf" + "\n".join(json.dumps(row) for row in rows).encode())


def _problems(*rows: object, max_problems: int = 20) -> tuple[list[str], int]:
    with pytest.raises(DatasetError) as caught:
        formats.check(_stream(*rows), max_problems=max_problems, param="file")
    assert caught.value.param == "file"
    return [str(problem) for problem in caught.value.problems], caught.value.total


@pytest.mark.parametrize(("row", "name"), [(CHAT, "chat"), (PREFERENCE, "preference")])
def test_a_good_file_is_told_by_its_first_row_and_counted(row: dict[str, object], name: str) -> None:
    assert formats.check(_stream(row, row)) == formats.DatasetSummary(name, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ((CHAT, CHAT, PREFERENCE), 3, "is a preference row, but a chat row is needed"),
        ((PREFERENCE, CHAT, PREFERENCE), 2, "is a chat row, but a preference row is needed"),
        (([], PREFERENCE, CHAT), 3, "is a chat row, but a preference row is needed"),
        ((CHAT, {}), 2, "messages: is missing"),
        ((PREFERENCE, {"input": {}}), 2, "preferred_output: is missing"),
    ],
)  # fmt: skip
def test_a_row_of_another_format_is_named(rows: tuple[object, ...], line: int, says: str) -> None:
    problems, _ = _problems(*rows)
    assert [text for text in problems if text.startswith(f"line {line}") and says in text], problems


def test_a_row_of_no_format_is_told_both() -> None:
    problems, total = _problems({"prompt": "hi", "completion": "yo"}, PREFERENCE)
    assert total == 1
    assert problems[0].startswith("line 1: is neither a chat row (it has no `messages`) nor a preference row")
    assert all(row_format.example in problems[0] for row_format in formats.FORMATS.values())


def test_problems_are_capped_and_counted() -> None:
    problems, total = _problems(*[7] * 50, max_problems=5)
    assert (len(problems), total) == (5, 50)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(DatasetError, match="empty"):
        formats.check(io.BytesIO(b""))
