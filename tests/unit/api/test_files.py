"""File names as they are kept."""

from __future__ import annotations

import pytest

from api.forms import safe_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("train.jsonl", "train.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\train.jsonl", "train.jsonl"),
        ("a\0b\r\nc.jsonl", "abc.jsonl"),
        ("größe 1.jsonl", "größe 1.jsonl"),
        ("..", "upload.jsonl"),
        ("", "upload.jsonl"),
        (None, "upload.jsonl"),
        ("x" * 300 + ".jsonl", "x" * 249 + ".jsonl"),
        ("\ud800.jsonl", ".jsonl"),
    ],
)
def test_names_are_safe(given: str | None, kept: str) -> None:
    assert safe_name(given) == kept
