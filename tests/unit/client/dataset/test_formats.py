"""A file's format: shown by its first row, kept by all others."""

from __future__ import annotations

import io
import json

import pytest
from isthmus.dataset import formats

from ist_core.errors import DatasetError

PREFERENCE_FREE = {"messages": [{"role": "assistant", "content": "hello"}]}
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
    summary = formats.check(_stream(row, row), name="a.csv")
    assert (summary.format, summary.container, summary.rows) == (name, "jsonl", 2)


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


def test_a_row_of_no_format_is_told_all_of_them() -> None:
    problems, total = _problems({"question": "hi", "answer": "yo"}, PREFERENCE)
    assert total == 1
    assert problems[0].startswith("line 1: is a row of no known format")
    assert all(row_format.example in problems[0] for row_format in formats.FORMATS.values())


def test_what_is_odd_is_warned_of_and_counted_not_refused() -> None:
    late = {"messages": [USER, {"role": "system", "content": "be brief"}, GOOD, GOOD, USER]}
    summary = formats.check(_stream(CHAT, late, {**CHAT, "source": "another note"}, PREFERENCE_FREE))
    assert (summary.rows, summary.duplicates, summary.total_warnings) == (4, 1, 5)
    assert [(warning.line, warning.path) for warning in summary.warnings] == [
        (2, "messages[1]"),
        (2, "messages[3]"),
        (2, "messages[4]"),
        (3, ""),
        (4, "messages[0]"),
    ]


def test_warnings_are_capped_and_counted() -> None:
    summary = formats.check(_stream(*[CHAT] * 30), max_problems=5)
    assert (len(summary.warnings), summary.total_warnings, summary.duplicates) == (5, 29, 29)


def test_problems_are_capped_and_counted() -> None:
    problems, total = _problems(*[7] * 50, max_problems=5)
    assert (len(problems), total) == (5, 50)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"\x1f\x8b\x08\x00", "is compressed: gzip; upload it uncompressed"),
        (b"PK\x03\x04 sheet", "is compressed: ZIP"),
        ('{"messages": []}'.encode("utf-16"), "is UTF-16 text; save the file with UTF-8"),
        (b"\0" * 1000, "not valid JSON"),
        (
            b"[\n" + json.dumps(CHAT).encode() + b"\n]",
            "line 1: not valid JSON.*write each row of the list as a",
        ),
        (b"prompt,completion\n", "the file has no rows"),
    ],
)
def test_a_file_that_is_no_data_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        formats.check(io.BytesIO(data), name="data.jsonl")
