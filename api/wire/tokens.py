"""Token counts of a file on the wire (ours)."""

from __future__ import annotations

from typing import Literal

from api.wire.common import WireModel
from api.wire.files import FileWarning


class HistogramBin(WireModel):
    """Rows of a range of lengths."""

    start: int
    stop: int
    """The first length that is not in it."""
    rows: int


class TokensObject(WireModel):
    """How many tokens a file's rows have for a model, and what a limit does to them."""

    object: Literal["file.tokens"] = "file.tokens"
    file_id: str
    model: str
    max_length: int
    window: int | None
    """How many tokens the model was made for; null: it does not say."""
    rows: int
    counted: int
    """Fewer than `rows` in a very large file, of which every second, third, .. row is counted."""
    total: int
    min: int | None
    median: int | None
    p95: int | None
    max: int | None
    truncated: int
    """Rows that are longer than `max_length`: they are cut."""
    without_answer: int
    """Rows of which nothing to learn would be left: a job refuses them."""
    refused: int
    """Rows that the model's chat template refuses, as a job does."""
    problems: list[FileWarning]
    """Why, of the first 20."""
    histogram: list[HistogramBin]
