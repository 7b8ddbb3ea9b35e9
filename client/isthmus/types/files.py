"""Files, what the check of one found, and its token counts."""

from __future__ import annotations

from typing import Literal

from isthmus.types.base import Identified, Lenient

Purpose = Literal["fine-tune", "fine-tune-results"] | str
FormatName = Literal["chat", "prompt_completion", "alpaca", "sharegpt", "preference", "chosen_rejected"] | str
ContainerName = Literal["jsonl", "csv", "parquet"] | str


class FileWarning(Lenient):
    """Something to look at again; the file can be used as it is."""

    line: int | None = None
    """From 1; in Parquet the row."""
    path: str = ""
    reason: str


class Validation(Lenient):
    """What the check of a data file found."""

    rows: int
    duplicates: int = 0
    warnings: list[FileWarning] = []
    """The first of them."""
    total_warnings: int = 0
    sha256: str | None = None


class File(Identified):
    """An uploaded or produced file."""

    object: str = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: Purpose
    status: Literal["processed"] | str = "processed"
    status_details: str | None = None
    expires_at: int | None = None
    sha256: str | None = None
    rows: int | None = None
    format: FormatName | None = None
    container: ContainerName | None = None
    validation: Validation | None = None


class HistogramBin(Lenient):
    """Rows of a range of lengths."""

    start: int
    stop: int
    """The first length that is not in it."""
    rows: int


class TokenCounts(Lenient):
    """How many tokens a file's rows have for a model, and what a limit does to them."""

    object: str = "file.tokens"
    file_id: str
    model: str
    max_length: int
    window: int | None = None
    """How many tokens the model was made for."""
    rows: int
    counted: int
    """Fewer than `rows` in a very large file."""
    total: int
    min: int | None = None
    median: int | None = None
    p95: int | None = None
    max: int | None = None
    truncated: int = 0
    without_answer: int = 0
    refused: int = 0
    problems: list[FileWarning] = []
    histogram: list[HistogramBin] = []


class UploadSession(Identified):
    """A file that comes in parts."""

    object: str = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"] | str
    file: File | None = None
    """What it became, once it is completed."""


class UploadPart(Identified):
    """A part of an upload."""

    object: str = "upload.part"
    created_at: int
    upload_id: str
