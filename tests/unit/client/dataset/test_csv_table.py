"""CSV files: told by their header, read record by record, and what is said about those that cannot be."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from isthmus.dataset import chat_rows, csv_table, formats, preferences

from ist_core.errors import DatasetError


def _problems(data: bytes, name: str = "a.csv") -> list[str]:
    with pytest.raises(DatasetError) as caught:
        formats.check(io.BytesIO(data), name=name)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table_is_told_by_its_header_and_read_with_its_line_numbers(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "training.jsonl"  # as the worker calls it
    text = '\ufeffprompt|completion|note\r\n"two\nlines"|"a ""word"""|1\r\nb|c|2\r\n'
    path.write_text(text.replace("|", mark), encoding="utf-8", newline="")
    rows = chat_rows.load(path)
    assert [(row.line, row.messages[0].content, row.messages[1].content) for row in rows] == [
        (2, "two\nlines", 'a "word"'),
        (4, "b", "c"),
    ]


def test_the_container_and_the_format_are_told() -> None:
    alpaca = formats.check(io.BytesIO(b"instruction,input,output\na,,b\nc,d,e\n"))
    pairs = formats.check(io.BytesIO(b"prompt,chosen,rejected\na,b,c\n"))
    assert (alpaca.format, alpaca.container, alpaca.rows) == ("alpaca", "csv", 2)
    assert (pairs.format, pairs.container, pairs.rows) == ("chosen_rejected", "csv", 1)


def test_pairs_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,chosen,rejected\na,b,c\n")
    assert [row.rejected.content for row in preferences.load(path)] == ["c"]
    with pytest.raises(DatasetError, match="the header names prompt, chosen, rejected; a CSV file needs"):
        chat_rows.load(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            b"question,answer\na,b\n",
            "line 1: the header names question, answer; a CSV file needs the columns",
        ),
        (b"prompt,note\na,b\n", "line 1: the header has no column completion"),
        (b"prompt,completion,prompt\na,b,c\n", "line 1: the header names the column prompt more than once"),
        (b"prompt,completion\na,b\n\nc,d\n", "line 3: the line is blank"),
        (b"prompt,completion\na,b,c\n", "line 2: has 3 cells, but the header names 2 columns"),
        (b"prompt,completion\na,b\n\xff,c\n", "line 3: byte 1 is not UTF-8"),
        (b'prompt,completion\n"a"b,c\nd,e\n', "line 2: not valid CSV"),
        (b'prompt,completion\na,"b\nc,d\n', "line 2: not valid CSV (unexpected end of data)"),
        (b"prompt,completion\na,\n", "line 2, completion: is empty"),
        (b"prompt,completion\na,b\0\n", "line 2, completion: holds a NUL"),
    ],
)
def test_a_bad_table_is_refused_by_line(data: bytes, says: str) -> None:
    problems = _problems(data)
    assert problems[0].startswith(says), problems
    assert len(problems) == 1


def test_an_open_quotation_mark_does_not_take_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE_BYTES", 100)
    stream = io.BytesIO(b"prompt,completion\na,b\n" + b'"\n",' * 1000)
    with pytest.raises(DatasetError, match=r"line 3: the record is longer than 100 bytes; is a quotation"):
        formats.check(stream)
