"""How many tokens the rows of a file have for a model, and what a limit would cut off (no torch here)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import jinja2
from isthmus.dataset.chat import ChatRow
from isthmus.dataset.preferences import PreferenceRow
from isthmus.dataset.rows import MAX_PROBLEMS
from tokenizers import Tokenizer

from ist_core.errors import Problem
from ist_core.tokenizer_files import ModelTokenizer

MOST_ROWS = 20_000
"""Of a file with more rows, only every second, third, .. is counted."""
BINS = 20
_BATCH = 256

AnyRow = ChatRow | PreferenceRow


@dataclass(slots=True)
class TokenCounts:
    """How long rows are, whatever the limit."""

    rows: int = 0
    """In the file; of those, `counted` were looked at."""
    counted: int = 0
    lengths: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How many rows have so many tokens, and so many before the first answer; of a pair, the longer."""
    refused: int = 0
    """Rows that the model's chat template refuses."""
    problems: list[Problem] = field(default_factory=list)
    """Why, of the first of them."""


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """What the lengths come to under a limit; None where no row could be counted."""

    total: int
    min: int | None
    median: int | None
    p95: int | None
    max: int | None
    truncated: int
    """Rows that are longer than the limit."""
    without_answer: int
    """Rows of which the limit leaves no answer: a job refuses them."""
    histogram: list[tuple[int, int, int]]
    """From, to (not with it), rows."""


def count(rows: Iterable[AnyRow], model: ModelTokenizer, *, total: int) -> TokenCounts:
    """Count the tokens of a file's rows, of which there are `total`."""
    counts = TokenCounts(rows=total)
    chosen = islice(rows, 0, None, max(1, -(-total // MOST_ROWS)))
    while batch := list(islice(chosen, _BATCH)):
        counts.counted += len(batch)
        texts = [found for row in batch if (found := _texts(row, model, counts))]
        sizes = _sizes([text for found in texts for pair in found for text in pair], model.tokenizer)
        counts.lengths.update(max((next(sizes), next(sizes)) for _ in found) for found in texts)
    return counts


def summarise(counts: TokenCounts, max_length: int) -> TokenSummary:
    """Say what `max_length` would do to the rows."""
    lengths: Counter[int] = Counter()
    for (length, _), rows in counts.lengths.items():
        lengths[length] += rows
    return TokenSummary(
        total=sum(length * rows for length, rows in lengths.items()),
        min=min(lengths, default=None),
        median=_quantile(lengths, 0.5),
        p95=_quantile(lengths, 0.95),
        max=max(lengths, default=None),
        truncated=sum(rows for length, rows in lengths.items() if length > max_length),
        without_answer=sum(rows for (_, before), rows in counts.lengths.items() if before >= max_length),
        histogram=_histogram(lengths),
    )


def _texts(row: AnyRow, model: ModelTokenizer, counts: TokenCounts) -> list[tuple[str, str]] | None:
    """The texts that a row is learnt from, each with what stands before its first answer; None: refused."""
    render = model.template.render
    try:
        if isinstance(row, PreferenceRow):
            before = render(row.messages, prompt=True)
            return [(render((*row.messages, answer)), before) for answer in (row.preferred, row.rejected)]
        first = next(index for index, message in enumerate(row.messages) if message.role == "assistant")
        return [(render(row.messages), render(row.messages[:first], prompt=True))]
    except jinja2.TemplateError as error:
        counts.refused += 1
        if len(counts.problems) < MAX_PROBLEMS:
            reason = f"the model's chat template refuses this conversation ({error}); change its roles' order"
            counts.problems.append(Problem(row.line, "messages", reason))
        return None


def _sizes(texts: list[str], tokenizer: Tokenizer) -> Iterator[int]:
    # As in training: the template writes the special tokens itself.
    return (len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))


def _quantile(lengths: Counter[int], share: float) -> int | None:
    """The smallest length that is not below so many of the rows."""
    needed, seen = share * lengths.total(), 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= needed:
            return length
    return None


def _histogram(lengths: Counter[int]) -> list[tuple[int, int, int]]:
    """At most 20 bins of one width, from the shortest row's to the longest's."""
    if not lengths:
        return []
    low, high = min(lengths), max(lengths)
    width = (high - low) // BINS + 1
    bins: Counter[int] = Counter()
    for length, rows in lengths.items():
        bins[(length - low) // width] += rows
    return [
        (low + index * width, low + (index + 1) * width, bins[index])
        for index in range((high - low) // width + 1)
    ]
