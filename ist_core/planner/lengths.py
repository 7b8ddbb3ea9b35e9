"""How long the rows of a job are, and the micro-batches they make.

Rows of about the same length are put together (ist_core/batches.py), so the worst micro-batch holds the
longest rows. A row has `tokens`, of which `learnt` are predicted; a preference pair counts as its longer
conversation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

_HELD_OUT_SHARE, _MOST_HELD_OUT = 20, 64
"""As in ist_core/examples.py: rows held out of the training file for probes."""
_PADDING = 1.05
"""Padded over real tokens of a mean micro-batch: rows are sorted by length within eight batches."""

_BYTES_A_TOKEN = 3.0
"""Of a data file, its JSON and what a chat template adds included: 2.4 (very short rows) to 4.0 measured."""
_LONG_SHARE, _LONG_TIMES = 20, 3

Known = Literal["counted", "estimated", "limit"]


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What goes through the model at once."""

    rows: int
    length: float
    """T, the padded length."""
    learnt: float
    """Positions whose logits are computed."""
    padded: bool
    """Whether its rows differ in length."""

    @property
    def tokens(self) -> float:
        """B T, with padding."""
        return self.rows * self.length


@dataclass(frozen=True, slots=True)
class Lengths:
    """The rows of a training file."""

    rows: int
    counts: Mapping[tuple[int, int], int]
    """How many rows have so many tokens, and so many learnt ones; all rows, or a sample of them."""
    known: Known
    """How they are known: counted, estimated from the file's size, or every row as long as the limit."""

    @classmethod
    def counted(cls, rows: Iterable[tuple[int, int]]) -> Lengths:
        """Of rows with so many tokens, and so many learnt ones."""
        counts = Counter(rows)
        return cls(counts.total(), counts, "counted")

    @classmethod
    def at_limit(cls, rows: int, max_length: int) -> Lengths:
        """Every row as long as can be, half of it learnt: nothing is known."""
        return cls(rows, {(max_length, max(1, max_length // 2)): rows}, "limit")

    @classmethod
    def estimated(cls, rows: int, data_bytes: int) -> Lengths:
        """From the size of a file at 3 bytes a token; one row in twenty is three times as long as most."""
        mean = max(2.0, data_bytes / rows / _BYTES_A_TOKEN)
        long = math.ceil(rows / _LONG_SHARE)
        usual = mean * rows / (rows + (_LONG_TIMES - 1) * long)
        counts: Counter[tuple[int, int]] = Counter()
        for tokens, count in ((usual, rows - long), (_LONG_TIMES * usual, long)):
            counts[math.ceil(tokens), math.ceil(tokens / 2)] += count
        return cls(rows, +counts, "estimated")

    @classmethod
    def sampled(cls, rows: int, counts: Iterable[tuple[int, int, int]]) -> Lengths:
        """Of counted rows, which stand for all `rows`: so many tokens, so many learnt, so many such rows.

        Rows of one length take the mean of their learnt tokens, so that a plan of many rows is made at once.
        """
        found: dict[int, tuple[int, int]] = {}
        for tokens, learnt, count in counts:
            before, supervised = found.get(tokens, (0, 0))
            found[tokens] = before + count, supervised + count * learnt
        merged = {
            (tokens, max(1, math.ceil(learnt / count))): count for tokens, (count, learnt) in found.items()
        }
        return cls(rows, merged, "counted")

    def cut(self, max_length: int) -> Lengths:
        """The rows under a limit: longer ones are cut at their end."""
        counts: Counter[tuple[int, int]] = Counter()
        for (tokens, learnt), rows in self.counts.items():
            kept = min(tokens, max_length)
            counts[kept, max(1, learnt - (tokens - kept))] += rows
        return Lengths(self.rows, counts, self.known)

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(tokens for tokens, _ in self.counts)

    @property
    def tokens(self) -> float:
        """Mean tokens of a row."""
        return self._mean(0)

    @property
    def learnt(self) -> float:
        """Mean learnt tokens of a row."""
        return self._mean(1)

    def worst(self, size: int, *, rank: int = 1) -> MicroBatch:
        """The micro-batch of the `size` longest rows (fewer if there are fewer), or the `rank`-th longest."""
        size = min(size, self.rows)
        skip = min((rank - 1) * size, self.rows - size)
        left, learnt = size, 0.0
        scale = self.rows / sum(self.counts.values())
        longest = shortest = 0
        for (tokens, supervised), rows in sorted(self.counts.items(), reverse=True):
            there = math.ceil(rows * scale)
            passed = min(skip, there)
            skip -= passed
            taken = min(left, there - passed)
            if not taken:
                continue
            longest = longest or tokens
            learnt += taken * supervised
            left -= taken
            shortest = tokens
            if left == 0:
                break
        # Lengths that are not counted may differ.
        padded = size > 1 and (shortest < longest or self.known != "counted")
        return MicroBatch(size, longest, learnt, padded)

    def mean(self, size: int) -> MicroBatch:
        """A micro-batch of `size` rows as most are."""
        size = min(size, self.rows)
        length = self.tokens if size == 1 else min(self.longest, _PADDING * self.tokens)
        alike = self.known == "counted" and len({tokens for tokens, _ in self.counts}) == 1
        return MicroBatch(size, length, size * self.learnt, size > 1 and not alike)

    def _mean(self, place: int) -> float:
        total = sum(self.counts.values())
        return sum(key[place] * rows for key, rows in self.counts.items()) / total


def held_out(rows: int, *, probed: bool, validation_rows: int | None) -> tuple[int, int]:
    """Return how many rows are trained on, and how many are there to be probed."""
    if not probed:
        return rows, 0
    if validation_rows is not None:
        return rows, validation_rows
    if rows == 1:
        return 1, 1
    count = min(_MOST_HELD_OUT, max(1, rows // _HELD_OUT_SHARE))
    return rows - count, count
