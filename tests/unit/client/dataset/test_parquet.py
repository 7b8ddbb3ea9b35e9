"""Parquet files: rows of every format, and files that unpack to more than anyone means."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from isthmus.dataset import chat_rows, formats, parquet

from ist_core.errors import DatasetError

CHAT = [
    [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}!"}] for n in range(600)
]


def _file(columns: dict[str, Any], **options: Any) -> io.BytesIO:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    stream.seek(0)
    return stream


def _problem(stream: io.BytesIO) -> str:
    with pytest.raises(DatasetError) as caught:
        formats.check(stream)
    assert caught.value.total == 1
    return str(caught.value.problems[0])


def test_a_table_of_conversations_is_read_in_order(tmp_path: Path) -> None:
    stream = _file({"messages": CHAT, "blob": [b"x"] * 600}, row_group_size=100)
    summary = formats.check(stream)
    assert (summary.format, summary.container, summary.rows) == ("chat", "parquet", 600)
    stream.seek(0)  # the check leaves the stream open
    path = tmp_path / "training.jsonl"
    path.write_bytes(stream.read())
    rows = chat_rows.load(path)
    assert [row.line for row in rows] == list(range(1, 601))
    assert rows[-1].messages[1].content == "599!"


def test_a_key_that_holds_nothing_is_absent() -> None:
    stream = _file({"instruction": ["a", "b"], "input": [None, "c"], "output": ["d", "e"]})
    summary = formats.check(stream)
    assert (summary.format, summary.rows) == ("alpaca", 2)


def test_bad_rows_are_named_by_number() -> None:
    stream = _file({"prompt": ["a", "b", None], "completion": ["c", "", "d"]})
    with pytest.raises(DatasetError) as caught:
        formats.check(stream)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "completion"),
        (3, "prompt"),
    ]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"question": ["a"]}, "its columns are question; it needs messages; or prompt, completion"),
        ({"prompt": ["a"]}, "has no column completion"),
    ],
)
def test_a_table_without_the_columns_is_refused(columns: dict[str, Any], says: str) -> None:
    assert _problem(_file(columns)).startswith(says)


def test_texts_that_no_dictionary_holds_are_read() -> None:
    answers = [[{"role": "assistant", "content": f"{n} " * 3000}] for n in range(600)]
    summary = formats.check(_file({"messages": answers}, dictionary_pagesize_limit=100_000))
    assert (summary.rows, summary.duplicates) == (600, 0)


@pytest.mark.parametrize("cut", [8, 100, -12])
def test_a_broken_file_is_refused(cut: int) -> None:
    data = _file({"prompt": ["a"] * 50, "completion": ["b"] * 50}).getvalue()
    assert "not a Parquet file that can be read" in _problem(io.BytesIO(data[:cut]))
    assert "not a Parquet file that can be read" in _problem(io.BytesIO(data[:cut] + b"\xff\xff\xff\x7fPAR1"))


def test_a_text_that_stands_in_very_many_rows_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three kilobytes that say 20 GB: refused after a part of it, in little memory."""
    monkeypatch.setattr(parquet, "MAX_UNPACKED_BYTES", 32_000_000)
    text = "x" * 1_000_000
    indices = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array([text]))
    stream = _file({"prompt": indices, "completion": ["b"] * 20_000}, compression="zstd")
    assert len(stream.getvalue()) < 20_000
    before = pa.total_allocated_bytes()
    assert "unpacks to more than 32,000,000 bytes of text" in _problem(stream)
    assert pa.total_allocated_bytes() - before < 64 * 1024 * 1024


def test_one_row_of_very_many_messages_is_refused() -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 50, pa.int32()), pa.array(["x" * 1_000_000]))
    messages = pa.StructArray.from_arrays([pa.array(["user"] * 50), text], ["role", "content"])
    stream = _file({"messages": pa.ListArray.from_arrays(pa.array([0, 50], pa.int32()), messages)})
    assert _problem(stream).startswith("line 1: the row is longer than")


def test_too_many_rows_are_refused_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_ROWS", 10)
    stream = _file({"prompt": ["a"] * 11, "completion": ["b"] * 11})
    assert _problem(stream).startswith("has 11 rows; split it into files of at most 10")
