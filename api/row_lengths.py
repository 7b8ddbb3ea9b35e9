"""How long a training file's rows are, as far as it can be told at once: for plans."""

from __future__ import annotations

from dataclasses import dataclass

from api.file_tokens import count_tokens, kept_counts
from api.services import Services
from ist_core.catalog import ModelSource
from ist_core.errors import TokenizerUnavailable
from ist_core.planner import Lengths
from ist_core.token_counts import TokenCounts, summarise
from ist_core.tokenizer_files import find_tokenizer
from store.tables import File

COUNTED_AT_ONCE_BYTES = 1_000_000
COUNTED_AT_ONCE_ROWS = 5_000
"""A file of at most so much is counted while a plan is made: about a second, once."""


@dataclass(frozen=True, slots=True)
class KnownLengths:
    """The lengths, and what a reader of a plan must know of them."""

    lengths: Lengths
    remarks: list[str]


def row_lengths(services: Services, file: File, source: ModelSource, *, max_length: int) -> KnownLengths:
    """The lengths of a file's rows: counted before, counted now if it is small, or else estimated."""
    rows = file.rows or 1
    try:
        found = find_tokenizer(source, services.settings.cache_dir)
        small = file.bytes <= COUNTED_AT_ONCE_BYTES and rows <= COUNTED_AT_ONCE_ROWS
        counts = (count_tokens if small else kept_counts)(services, file, found)
    except TokenizerUnavailable as error:
        return _estimated(file, rows, error.message)
    if counts is None:
        address = f"GET /v1/files/{file.id}/tokens?model={source.name}"
        return _estimated(file, rows, f"{address} counts them, and the next plan knows them")
    if not counts.lengths:
        return _estimated(file, rows, "the model's chat template refuses every row that was looked at")
    return _counted(counts, max_length)


def _estimated(file: File, rows: int, reason: str) -> KnownLengths:
    remark = (
        "Row lengths are estimated from the file's size: 3 bytes a token, and one row in twenty three times "
        f"as long as the others ({reason})"
    )
    return KnownLengths(Lengths.estimated(rows, file.bytes), [remark])


def _counted(counts: TokenCounts, max_length: int) -> KnownLengths:
    remarks = []
    if counts.counted < counts.rows:
        remarks.append(f"Of {counts.rows} rows {counts.counted} were counted, and stand for the others")
    if counts.refused:
        remarks.append(f"The model's chat template refuses {counts.refused} rows, so the job would fail")
    if cut := summarise(counts, max_length).without_answer:
        remarks.append(f"max_length {max_length} leaves no answer in {cut} rows, so the job would fail")
    lengths = ((length, max(1, length - before), rows) for (length, before), rows in counts.lengths.items())
    return KnownLengths(Lengths.sampled(counts.rows, lengths), remarks)
